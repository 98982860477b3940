"""What operators read of sagas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min

from celery_config.errors import OperatorRefused
from celery_config.saga import barriers
from celery_config.saga.dsl import Saga, find
from celery_config.saga.effects import Answer, Effect, Known, effects
from celery_config.saga.machine import Logged, Status
from celery_config.saga.models import SagaInstance


@dataclass(frozen=True)
class ParkedGroup:
    """Parked sagas with one fingerprint."""

    fingerprint: str
    count: int
    parked_first: datetime
    """Saga time."""
    answer_by: datetime


def parked_groups() -> list[ParkedGroup]:
    """Return what is parked, grouped by what parked it; the most sagas first."""
    rows = (
        SagaInstance.objects.filter(status=Status.PARKED)
        .values("fingerprint")
        .annotate(count=Count("pk"), parked_first=Min("since"), answer_by=Min("answer_by"))
        .order_by("-count", "fingerprint")
    )
    return [ParkedGroup(**row) for row in rows]


def effects_of(row: SagaInstance) -> list[Effect]:
    """Return each live or doubtful effect of a saga, after asking every participant (rule 25).

    Raises:
        OperatorRefused: this code does not know the saga's version.
    """
    saga = definition(row)
    return live_effects(saga, row, barriers.ask(saga, row.pk))


def live_effects(saga: type[Saga], row: SagaInstance, answers: Mapping[str, Answer]) -> list[Effect]:
    """Return the same, given what the participants answered."""
    log = {s.name: Known(Logged(s.logged), s.reply) for s in row.steps.all()}
    return effects(saga, row.data, log, answers)


def definition(row: SagaInstance) -> type[Saga]:
    """Return the definition that the saga runs on.

    Raises:
        OperatorRefused: this code does not know it.
    """
    saga = find(row.name, row.version)
    if saga is None:
        raise OperatorRefused(
            f"{row.name} version {row.version} is unknown to this code; deploy one that knows it"
        )
    return saga
