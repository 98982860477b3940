"""What waits for one cause: the filter of a list by it, and the verbs for all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from celery_config.saga.admin.widgets import count_rows
from celery_config.saga.engine.flows import find_flow
from celery_config.saga.flow_facts import FlowFacts
from celery_config.saga.operations.advice import TITLES, recommend_verb
from celery_config.saga.states import Status

FINGERPRINT, VERB = "fingerprint", "verb"


class FingerprintFilter(admin.SimpleListFilter):
    """Filter by fingerprint. Only parked rows have one; the query uses the index of open rows."""

    title = "why it waits"
    parameter_name = FINGERPRINT
    counts: dict[str, int]
    """How many wait, by fingerprint."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        parked = model_admin.model.objects.filter(status=Status.PARKED).order_by()
        self.counts = dict(parked.values_list("fingerprint").annotate(count=Count("pk")))
        return [
            (fingerprint, f"{fingerprint} ({count})") for fingerprint, count in sorted(self.counts.items())
        ]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        wanted = self.value()
        return filter_cause(rows, wanted) if wanted else rows


def filter_cause(rows: QuerySet[Any], fingerprint: str) -> QuerySet[Any]:
    """The rows that wait for one cause."""
    return rows.filter(status=Status.PARKED, fingerprint=fingerprint)


def get_cause_url(model: type[Model], fingerprint: str) -> str:
    """Return the address of the list of what waits for one cause."""
    wanted = {"status__exact": Status.PARKED.value, FINGERPRINT: fingerprint}
    return f"{get_view_url(model, 'changelist')}?{urlencode(wanted)}"


def get_view_url(model: type[Model], view: str, *args: str) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{view}", args=args)


def build_cause(page: ChangeList, facts: Iterable[FlowFacts], *, may_act: bool) -> dict[str, Any] | None:
    """Return what waits for the one cause by which a list is filtered, and the verbs for all of it.

    The verb that is recommended for most rows of the page comes first.
    """
    chosen = next((each for each in page.filter_specs if isinstance(each, FingerprintFilter)), None)
    fingerprint = (chosen and chosen.value()) or ""
    count = chosen.counts.get(fingerprint, 0) if chosen else 0
    if not fingerprint or not count:
        return None
    best = Counter(recommend_verb(each) for each in facts).most_common(1)
    recommended = best[0][0] if best else ""
    model: Any = page.model
    verbs = [name for name in find_flow(model).verbs if name != "resume" or name == recommended]
    each = get_view_url(model, "each")
    all_of = f": all {count}" if count > 1 else ""
    offered = [
        {
            "title": f"{TITLES[name]}{all_of}",
            "path": f"{each}?{urlencode({VERB: name, FINGERPRINT: fingerprint})}",
            "is_recommended": name == recommended,
        }
        for name in sorted(verbs, key=lambda name: name != recommended)
    ]
    return {
        "what": count_rows(model, count),
        "count": count,
        "why": fingerprint,
        "verbs": offered if may_act else [],
    }
