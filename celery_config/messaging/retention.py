"""Retention: events, inbox entries and barrier rows are deleted after their time, so no table grows without limit.

A saga's id holds the time at which the saga began. A message of a saga that began too long ago, and without a barrier
row, goes to the dead letters instead of being carried out: that is why old barrier rows can be deleted.
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

from celery_config.common.identifiers import min_uuid7_at, uuid7_time
from celery_config.db.limits import slow_statements
from celery_config.messaging.barrier import store
from celery_config.messaging.barrier.steps import StepRequest
from celery_config.messaging.models import BarrierRow, InboxEntry, OutboxMessage
from celery_config.messaging.states import Action, Undo

# A batch takes a few milliseconds, so that publishing does not wait for it.
BATCH, EVERY_SECONDS = 1000, 5.0
# Clocks differ: rows are kept a little longer than their messages are accepted.
MARGIN = timedelta(days=1)


def is_too_old(saga: UUID) -> bool:
    """Whether the saga's barrier rows may be deleted already."""
    began = uuid7_time(saga)
    return began is not None and began < timezone.now() - timedelta(days=settings.SAGA_RETENTION_DAYS)


def find_forgotten(steps: Sequence[StepRequest]) -> set[UUID]:
    """Return the keys of steps whose barrier rows may have been deleted."""
    old = {step.key for step in steps if is_too_old(step.saga)}
    return old - store.known_keys(old) if old else old


@slow_statements()
def delete_expired(batch: int = BATCH) -> bool:
    """Delete a batch of old events, inbox entries and decided barrier rows; return whether there may be more."""
    events = timezone.now() - timedelta(days=settings.EVENT_RETENTION_DAYS)
    kept = timedelta(days=settings.SAGA_RETENTION_DAYS)
    sagas = timezone.now() - kept - min(MARGIN, kept / 10)
    open_call = Q(action=Action.INTENT.value) | Q(undo=Undo.INTENT.value)
    full = [
        delete_batch(OutboxMessage, Q(published_at__lt=events), "published_at", batch),
        delete_batch(InboxEntry, Q(received_at__lt=events), "received_at", batch),
        delete_batch(
            BarrierRow, Q(saga__lt=min_uuid7_at(sagas), created_at__lt=sagas) & ~open_call, "saga", batch
        ),
    ]
    return any(full)


def delete_batch(model: type[models.Model], which: Q, oldest: str, batch: int = BATCH) -> bool:
    """Delete a batch of rows in one statement; return whether it was a full one.

    Args:
        oldest: the field whose order puts the oldest rows first; it needs an index.
    """
    rows: Any = model._default_manager.order_by()
    deleted, _ = rows.filter(pk__in=rows.filter(which).order_by(oldest).values("pk")[:batch]).delete()
    return bool(deleted == batch)
