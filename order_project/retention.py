"""Retention: seen events are deleted after `SAGA_RETENTION_DAYS`, as the saga log is."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from celery_config.common.identifiers import min_uuid7_at
from celery_config.db.limits import slow_statements
from celery_config.messaging.outbox.relay import Duty
from celery_config.messaging.retention import BATCH, EVERY_SECONDS, delete_batch
from order_project.models import SeenEvent


def duties() -> list[Duty]:
    """Return the order relay's duties for RELAY_DUTIES."""
    return [Duty("retention of seen events", forget_seen, settings.TIMES.period(EVERY_SECONDS))]


@slow_statements()
def forget_seen(batch: int = BATCH) -> bool:
    """Delete a batch of events seen of orders that ended long ago; return whether more may be left."""
    horizon = timezone.now() - timedelta(days=settings.SAGA_RETENTION_DAYS)
    long_ended = Q(choreography__lt=min_uuid7_at(horizon), choreography__order__ended_at__lt=horizon)
    return delete_batch(SeenEvent, long_ended, "choreography", batch)
