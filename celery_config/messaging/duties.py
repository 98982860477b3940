"""The duties that the relay of every service has: it deletes what is old."""

from __future__ import annotations

from celery_config.messaging import retention
from celery_config.messaging.outbox.relay import BackgroundDuty, Duty


def standard_duties() -> list[Duty]:
    barrier = BackgroundDuty("retention of the barrier", retention.BarrierRetention().run)
    return [
        Duty("retention", retention.delete_expired, retention.EVERY_SECONDS),
        Duty(barrier.name, barrier.start, retention.EVERY_SECONDS),
    ]
