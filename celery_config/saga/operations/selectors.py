"""What operators read of flows: which are parked and why, and which effects of one are live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db.models import Count, Min

from celery_config.saga.engine.flows import find_flow, flows
from celery_config.saga.models import WatchedRow
from celery_config.saga.operations import barrier_client
from celery_config.saga.operations.effects import Effect, effects
from celery_config.saga.states import Status


@dataclass(frozen=True)
class ParkedGroup:
    """What is parked with one fingerprint."""

    kind: str
    """The model's label: sagas, or another flow."""
    fingerprint: str
    count: int
    parked_first: datetime
    """Saga time."""
    answer_by: datetime | None
    """The earliest; None of sagas that were parked before they had one."""
    owners: list[str]


def parked_groups() -> list[ParkedGroup]:
    """Return what is parked, grouped by what parked it; the largest group first."""
    groups = [group for model in flows for group in groups_of(model)]
    return sorted(groups, key=lambda group: (-group.count, group.fingerprint))


def groups_of(model: type[WatchedRow]) -> list[ParkedGroup]:
    rows = (
        model._default_manager.filter(status=Status.PARKED)
        .order_by()
        .values("fingerprint", "owner")
        .annotate(count=Count("pk"), parked_first=Min("since"), answer_by=Min("answer_by"))
    )
    by_fingerprint = groupby(
        sorted(rows, key=itemgetter("fingerprint", "owner")), key=itemgetter("fingerprint")
    )
    return [group_of(model._meta.label_lower, shared, list(parts)) for shared, parts in by_fingerprint]


def group_of(kind: str, fingerprint: str, parts: Sequence[Mapping[str, Any]]) -> ParkedGroup:
    """One group of what its owners have of it."""
    return ParkedGroup(
        kind=kind,
        fingerprint=fingerprint,
        count=sum(part["count"] for part in parts),
        parked_first=min(part["parked_first"] for part in parts),
        answer_by=min((part["answer_by"] for part in parts if part["answer_by"]), default=None),
        owners=[part["owner"] for part in parts if part["owner"]],
    )


def effects_of(row: WatchedRow) -> list[Effect]:
    """Return each live or doubtful effect of a flow, after asking every participant (rule 25, parked).

    Raises:
        OperatorRefused: this code does not know the row's version.
    """
    course = find_flow(type(row)).find_course(row)
    return effects(course, barrier_client.ask(course.steps, row.pk))
