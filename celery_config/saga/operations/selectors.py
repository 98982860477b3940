"""What operators read of flows: which are parked and why, and which effects of one are live."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.db.models import CharField, Count, Min
from django.db.models.functions import Cast

from celery_config.common.grouping import group_by
from celery_config.messaging.retention import SagaEnds, compute_margin
from celery_config.saga.engine import clock
from celery_config.saga.engine.flows import find_flow, flows
from celery_config.saga.models import WatchedRow
from celery_config.saga.operations import barrier_client
from celery_config.saga.operations.effects import Effect, find_effects
from celery_config.saga.states import ENDED, Status


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
    only: str
    """The id of the one that waits; empty: there are more."""


def read_parked_groups() -> list[ParkedGroup]:
    """Return what is parked, grouped by what parked it; the largest group first."""
    groups = [group for model in flows for group in read_groups(model)]
    return sorted(groups, key=lambda group: (-group.count, group.fingerprint))


def read_groups(model: type[WatchedRow]) -> list[ParkedGroup]:
    rows = (
        model._default_manager.filter(status=Status.PARKED)
        .order_by()
        .values("fingerprint", "owner")
        .annotate(**count_group())
    )
    by_fingerprint = group_by(itemgetter("fingerprint"), rows)
    return [merge_group(model._meta.label_lower, *group) for group in by_fingerprint.items()]


def count_group() -> dict[str, Any]:
    """Return what `merge_group` needs of the rows of a group."""
    # As text: PostgreSQL has no least UUID before its version 18.
    first = Min(Cast("pk", CharField()))
    return {
        "count": Count("pk"), "parked_first": Min("since"), "answer_by": Min("answer_by"), "first": first,
    }  # fmt: skip


def merge_group(kind: str, fingerprint: str, parts: Sequence[Mapping[str, Any]]) -> ParkedGroup:
    """Merge the counts by owner of one fingerprint."""
    count = sum(part["count"] for part in parts)
    return ParkedGroup(
        kind=kind,
        fingerprint=fingerprint,
        count=count,
        parked_first=min(part["parked_first"] for part in parts),
        answer_by=min((part["answer_by"] for part in parts if part["answer_by"]), default=None),
        owners=sorted(part["owner"] for part in parts if part["owner"]),
        only=parts[0]["first"] if count == 1 else "",
    )


def read_ends(ids: Collection[UUID]) -> SagaEnds:
    """Return which of these sagas, and rows of other flows, have ended long ago, and which may still be driven."""
    long_ago = clock.now() - compute_margin()
    ended: set[UUID] = set()
    known: set[UUID] = set()
    for model in flows:
        for id, status, since in model._default_manager.filter(pk__in=ids).values_list(
            "pk", "status", "since"
        ):
            known.add(id)
            if status in ENDED and since < long_ago:
                ended.add(id)
    return SagaEnds(ended=frozenset(ended), open=frozenset(known - ended))


def read_effects(row: WatchedRow) -> tuple[list[Effect], str]:
    """Return each live or doubtful effect of a flow, after asking every participant (rule 25, parked); and why its data
    cannot be read, if so.

    Raises:
        OperatorRefused: this code does not know the row's version.
    """
    course = find_flow(type(row)).find_course(row)
    return find_effects(course, barrier_client.read_barriers(course.steps, row.pk)), course.fault
