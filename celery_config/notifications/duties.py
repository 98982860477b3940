"""Duties of the order service's relay for notifications: it watches the notifier, and deletes what is long over."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from celery_config.db.limits import slow_statements
from celery_config.messaging.outbox.relay import BackgroundDuty, Duty
from celery_config.messaging.retention import BATCH, EVERY_SECONDS, delete_batch
from celery_config.notifications.heartbeat import NotifierWatch
from celery_config.notifications.incidents import compute_look_seconds
from celery_config.notifications.models import Delivery, Incident


def notification_duties() -> list[Duty]:
    watch = BackgroundDuty("notifier watched", NotifierWatch().look)
    return [
        Duty(watch.name, watch.start, compute_look_seconds()),
        Duty("retention of incidents", delete_old, settings.TIMES.period(EVERY_SECONDS)),
    ]


@slow_statements()
def delete_old(batch: int = BATCH) -> bool:
    """Delete a piece of what was over, or tested, long ago; return whether there may be more."""
    horizon = timezone.now() - timedelta(days=settings.SAGA_RETENTION_DAYS)
    long_over = Q(over_at__lt=horizon)
    if delete_batch(Delivery, Q(incident__in=Incident.objects.filter(long_over)), "pk", batch):
        return True
    tests = Q(incident__isnull=True, created_at__lt=horizon)
    full = [
        delete_batch(Delivery, tests, "created_at", batch),
        delete_batch(Incident, long_over, "over_at", batch),
    ]
    return any(full)
