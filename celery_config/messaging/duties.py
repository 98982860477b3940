"""The duties that the relay of every service has: it deletes what is old."""

from __future__ import annotations

from celery_config.messaging import epochs, retention
from celery_config.messaging.outbox.relay import BackgroundDuty, Duty

EPOCH_SECONDS = 60.0


def look_at_epoch() -> None:
    """See whether the database was set back, even if no service reads the feed."""
    epochs.current()


def standard_duties() -> list[Duty]:
    barrier = BackgroundDuty("retention of the barrier", retention.BarrierRetention().run)
    return [
        Duty("epoch", look_at_epoch, EPOCH_SECONDS),
        Duty("retention", retention.delete_expired, retention.EVERY_SECONDS),
        Duty(barrier.name, barrier.start, retention.EVERY_SECONDS),
    ]
