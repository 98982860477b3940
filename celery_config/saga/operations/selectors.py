"""What operators read of sagas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db.models import Count, Min

from celery_config.errors import OperatorRefused
from celery_config.saga.dsl import Saga, find_saga
from celery_config.saga.engine.parking import parkables
from celery_config.saga.models import SagaInstance
from celery_config.saga.operations import barrier_client
from celery_config.saga.operations.effects import Course, Effect, Known, effects
from celery_config.saga.states import Status, StepState


@dataclass(frozen=True)
class ParkedGroup:
    """What is parked with one fingerprint."""

    kind: str
    """The model's label: sagas, or whatever else may be parked."""
    fingerprint: str
    count: int
    parked_first: datetime
    """Saga time."""
    answer_by: datetime | None
    """The earliest; None of sagas that were parked before they had one."""
    owners: list[str]


def parked_groups() -> list[ParkedGroup]:
    """Return what is parked, grouped by what parked it; the largest group first."""
    groups = [group for kind in parkables() for group in groups_of(kind)]
    return sorted(groups, key=lambda group: (-group.count, group.fingerprint))


def groups_of(kind: type[Any]) -> list[ParkedGroup]:
    rows = (
        kind.objects.filter(status=Status.PARKED)
        .order_by()
        .values("fingerprint", "owner")
        .annotate(count=Count("pk"), parked_first=Min("since"), answer_by=Min("answer_by"))
    )
    by_fingerprint = groupby(
        sorted(rows, key=itemgetter("fingerprint", "owner")), key=itemgetter("fingerprint")
    )
    return [group_of(kind._meta.label_lower, shared, list(parts)) for shared, parts in by_fingerprint]


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


def effects_of(row: SagaInstance) -> list[Effect]:
    """Return each live or doubtful effect of a saga, after asking every participant (rule 25).

    Raises:
        OperatorRefused: this code does not know the saga's version.
    """
    course = course_of(row)
    return effects(course, barrier_client.ask(course.steps, row.pk))


def course_of(row: SagaInstance) -> Course:
    """Return the saga's steps and what the log knows of them.

    Raises:
        OperatorRefused: this code does not know the saga's version.
    """
    log = {s.name: Known(StepState(s.logged), s.reply) for s in row.steps.all()}
    return Course(definition(row).steps, row.data, log)


def definition(row: SagaInstance) -> type[Saga]:
    """Return the definition that the saga runs on.

    Raises:
        OperatorRefused: this code does not know it.
    """
    saga = find_saga(row.name, row.version)
    if saga is None:
        raise OperatorRefused(
            f"{row.name} version {row.version} is unknown to this code; deploy one that knows it"
        )
    return saga
