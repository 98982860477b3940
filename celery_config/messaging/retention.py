"""What is forgotten, and when: nothing grows for ever.

A barrier row may go once nothing can come for its saga any more. Nobody need be asked: a saga's id holds the time at
which it began, and what comes for one that began too long ago, and has no barrier row, goes to the dead letters
instead of being carried out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from celery_config.ids import begun_at, first_of
from celery_config.messaging import barrier
from celery_config.messaging.decisions import Action, Undo
from celery_config.messaging.models import BarrierRow, InboxEntry, OutboxMessage
from celery_config.messaging.steps import Step

BATCH, EVERY_SECONDS = 5000, 5.0
# Clocks differ; what may still be carried out is kept a little longer than it may.
MARGIN = timedelta(days=1)


def is_too_old(saga: UUID) -> bool:
    """Whether its barrier rows may be forgotten already."""
    began = begun_at(saga)
    return began is not None and began < timezone.now() - timedelta(days=settings.SAGA_RETENTION_DAYS)


def forgotten(steps: Sequence[Step]) -> set[UUID]:
    """The keys of steps whose barrier rows may have been forgotten."""
    old = {step.key for step in steps if is_too_old(step.saga)}
    return old - barrier.knows(old) if old else old


def forget_old(batch: int = BATCH) -> None:
    """Delete what is past its horizon, a batch at a time: events, inbox entries, and decided barrier rows."""
    events = timezone.now() - timedelta(days=settings.EVENT_RETENTION_DAYS)
    sagas = timezone.now() - timedelta(days=settings.SAGA_RETENTION_DAYS) - MARGIN
    open_call = Q(action=Action.INTENT.value) | Q(undo=Undo.INTENT.value)
    delete(OutboxMessage, Q(published_at__lt=events), batch)
    delete(InboxEntry, Q(received_at__lt=events), batch)
    delete(BarrierRow, Q(saga__lt=first_of(sagas), created_at__lt=sagas) & ~open_call, batch)


def delete(model: type[models.Model], which: Q, batch: int = BATCH) -> None:
    found: Any = model._default_manager.filter(which).values_list("pk", flat=True)[:batch]
    model._default_manager.filter(pk__in=list(found)).delete()
