"""The duties that the relay of every service has: it measures its lag and deletes what is old."""

from __future__ import annotations

from celery_config.common import metrics
from celery_config.messaging import retention
from celery_config.messaging.outbox.relay import BackgroundDuty, Duty, oldest_unpublished_seconds


def measure_lag() -> None:
    metrics.OUTBOX_AGE.set(oldest_unpublished_seconds())


def standard_duties() -> list[Duty]:
    barrier = BackgroundDuty("retention of the barrier", retention.BarrierRetention().run)
    return [
        Duty("lag", measure_lag, 1.0),
        Duty("retention", retention.delete_expired, retention.EVERY_SECONDS),
        Duty(barrier.name, barrier.start, retention.EVERY_SECONDS),
    ]
