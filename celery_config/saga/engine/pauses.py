"""A pause holds up new sagas of one name, or of each kind that has a certain step. Running ones go on."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from celery_config.db.functions import cached_sql
from celery_config.errors import SagaPaused
from celery_config.saga.dsl import Saga
from celery_config.saga.models import SagaPause


def check(saga: type[Saga]) -> None:
    """Raise SagaPaused while sagas of this kind are held up."""
    if pause := pauses_of(saga.name, tuple(s.name for s in saga.steps)).first():
        raise SagaPaused(f"{pause}, since {pause.since:%Y-%m-%d %H:%M} UTC: {pause.why}")


def pauses_of(saga: str, steps: tuple[str, ...]) -> QuerySet[SagaPause]:
    return SagaPause.objects.filter(Q(saga=saga) | Q(step__in=steps))


@cached_sql
def look(saga: str, steps: tuple[str, ...]) -> QuerySet[SagaPause, Any]:
    """The statement that asks for a pause."""
    return pauses_of(saga, steps).values("pk")[:1]
