"""What became of the rows that were acted on at once: a filter of their list, and a fragment that counts them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from celery_config.common.identifiers import parse_uuid
from celery_config.saga.admin.cause import get_view_url
from celery_config.saga.admin.widgets import count_rows, make_status_label
from celery_config.saga.models import OperatorAction, WatchedRow
from celery_config.saga.states import OPEN
from celery_config.web.columns import format_number

ACTED = "acted"
ACTS = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
MOST_READ = 2000
"""Of the acts between the first and the last: others may act meanwhile."""


def get_acted_url(model: type[WatchedRow], acts: str, view: str = "changelist") -> str:
    """Return the address of the list of what was acted on, or of another view of it; for `acts` see `read_acted`."""
    return f"{get_view_url(model, view)}?{urlencode({ACTED: acts})}"


def read_acted(acts: str) -> list[UUID]:
    """Return the ids of what one operator acted on by one verb.

    Args:
        acts: the numbers of the first and the last record of the acts: `3-7`.
    """
    numbers = ACTS.fullmatch(acts)
    if numbers is None:
        return []
    found = OperatorAction.objects.filter(pk__range=numbers.groups()).order_by("pk")
    rows = [*found.values_list("by", "verb", "saga", "subject")[:MOST_READ]]
    same = [saga or parse_uuid(subject) for by, verb, saga, subject in rows if (by, verb) == rows[0][:2]]
    return [*filter(None, same)]


class ActedFilter(admin.SimpleListFilter):
    """Filter by what was acted on at once; it is offered where a link leads to it alone."""

    title = "acted on at once"
    parameter_name = ACTED
    ids: Sequence[UUID] = ()
    """What was acted on, once the list is filtered."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        acts = request.GET.get(ACTED)
        return [(acts, "what was acted on")] if acts else []

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        if not (acts := self.value()):
            return rows
        self.ids = read_acted(acts)
        return rows.filter(pk__in=self.ids)


def find_acted(page: ChangeList) -> dict[str, Any] | None:
    """Return the context of the fragment of a list that is filtered by what was acted on; None: it is not."""
    chosen = next((each for each in page.filter_specs if isinstance(each, ActedFilter)), None)
    model: Any = page.model
    return build_acted(model, str(chosen.value()), chosen.ids) if chosen and chosen.ids else None


def build_acted(model: type[WatchedRow], acts: str, ids: Sequence[UUID]) -> dict[str, Any]:
    """Return the context of the fragment, which asks for itself again while some are on their way."""
    rows = model._default_manager.filter(pk__in=ids).order_by()
    counts = dict(rows.values_list("status").annotate(count=Count("pk")).order_by("-count", "status"))
    url = get_acted_url(model, acts, "acted")
    return {
        "what": count_rows(model, sum(counts.values())),
        "counts": [(format_number(n), make_status_label(status)) for status, n in counts.items()],
        "url": url if any(status in counts for status in OPEN) else "",
    }
