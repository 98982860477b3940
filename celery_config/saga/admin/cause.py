"""What waits, or fails again and again, for one cause: the filters of a list by it, and the verbs for all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from celery_config.saga.admin.widgets import count_rows
from celery_config.saga.flow_facts import FlowFacts
from celery_config.saga.operations.acts import name_act
from celery_config.saga.operations.advice import advise, recommend_verb
from celery_config.saga.operations.failing import find_failing_ids
from celery_config.saga.states import Status

FINGERPRINT, FAILING, VERB = "fingerprint", "failing", "verb"


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
        return filter_cause(rows, {FINGERPRINT: wanted}) if wanted else rows


class FailingFilter(admin.SimpleListFilter):
    """Filter by why something fails again and again; it is offered where a link leads to it alone."""

    title = "fails again and again"
    parameter_name = FAILING
    count = 0
    """How many fail for this cause, once the list is filtered."""
    more = False
    """Whether that is not all, perhaps: so many fail that not each is read."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        line = request.GET.get(FAILING)
        return [(line, line)] if line else []

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        if not (line := self.value()):
            return rows
        ids, self.more = find_failing_ids(rows.model, line)
        found = rows.filter(pk__in=ids)
        self.count = found.count()
        return found


def filter_cause(rows: QuerySet[Any], cause: Mapping[str, str]) -> QuerySet[Any]:
    """The rows that wait, or fail, for the cause that an address names; see `name_cause`."""
    if fingerprint := cause.get(FINGERPRINT):
        return rows.filter(status=Status.PARKED, fingerprint=fingerprint)
    ids, _ = find_failing_ids(rows.model, cause[FAILING])
    return rows.filter(pk__in=ids)


def name_cause(asked: Mapping[str, Any]) -> dict[str, str]:
    """Return the part of an address that names a cause; empty: it names none."""
    return next(({name: line} for name in (FINGERPRINT, FAILING) if (line := asked.get(name, ""))), {})


def get_cause_url(model: type[Model], cause: Mapping[str, str]) -> str:
    """Return the address of the list of what waits, or fails, for one cause."""
    status = {"status__exact": Status.PARKED.value} if FINGERPRINT in cause else {}
    return f"{get_view_url(model, 'changelist')}?{urlencode({**status, **cause})}"


def get_view_url(model: type[Model], view: str, *args: str) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{view}", args=args)


def find_cause(page: ChangeList) -> tuple[dict[str, str], int, bool]:
    """Return the cause by which a list is filtered, as an address names it, how many have it, and whether more may."""
    for each in page.filter_specs:
        if isinstance(each, FailingFilter) and each.count:
            return {FAILING: str(each.value())}, each.count, each.more
        if isinstance(each, FingerprintFilter) and (count := each.counts.get(each.value() or "", 0)):
            return {FINGERPRINT: str(each.value())}, count, False
    return {}, 0, False


def build_cause(
    page: ChangeList, facts: Iterable[FlowFacts], *, verbs: Collection[str]
) -> dict[str, Any] | None:
    """Return what waits or fails for the one cause by which a list is filtered, and the verbs for all of it.

    The verb that is recommended for most rows of the page comes first.

    Args:
        verbs: those that the user may use.
    """
    cause, count, more = find_cause(page)
    (line,) = cause.values() or [""]
    if not line:
        return None
    best = Counter(recommend_verb(each) for each in facts).most_common(1)
    recommended = best[0][0] if best else ""
    model: Any = page.model
    fitting = [name for name in verbs if name != "resume" or name == recommended]
    each = get_view_url(model, "each")
    all_of = f": {'the first' if more else 'all'} {count}" if count > 1 else ""
    offered = [
        {
            "title": f"{name_act(name)}{all_of}",
            "path": f"{each}?{urlencode({VERB: name, **cause})}",
            "is_recommended": name == recommended,
        }
        for name in sorted(fitting, key=lambda name: name != recommended)
    ]
    fails = FAILING in cause
    told = ("fails", "fail") if fails else ("waits", "wait")
    return {
        "what": f"{'at least ' if more else ''}{count_rows(model, count)} {told[count > 1]}",
        "why": line,
        "mend": advise(line),
        "verbs": offered,
    }
