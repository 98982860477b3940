"""Pause: no new saga of a name, or with a certain step, starts. Running sagas go on."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from celery_config.db.functions import cached_sql
from celery_config.errors import SagaPaused
from celery_config.saga.dsl import Saga
from celery_config.saga.models import SagaPause


def check_not_paused(saga: type[Saga]) -> None:
    """Raise SagaPaused while sagas of this kind are paused."""
    if pause := find_pauses(saga.name, tuple(s.name for s in saga.steps)).first():
        raise SagaPaused(f"{pause}, since {pause.since:%Y-%m-%d %H:%M} UTC: {pause.why}")


def find_pauses(saga: str, steps: tuple[str, ...]) -> QuerySet[SagaPause]:
    return SagaPause.objects.filter(Q(saga=saga) | Q(step__in=steps))


@cached_sql
def pause_query(saga: str, steps: tuple[str, ...]) -> QuerySet[SagaPause, Any]:
    """The SQL that finds a pause."""
    return find_pauses(saga, steps).values("pk")[:1]
