"""The duties that the relay of every service has: it deletes what is old, and tells what it sends late."""

from __future__ import annotations

from django.conf import settings

from celery_config.common.services import ORCHESTRATOR
from celery_config.messaging import epochs, retention, trouble
from celery_config.messaging.holds.reading import hold_duties
from celery_config.messaging.measures import LIFE_SECONDS, RELAY_SEEN
from celery_config.messaging.observations import note
from celery_config.messaging.outbox import publishing
from celery_config.messaging.outbox.relay import BackgroundDuty, Duty

EPOCH_SECONDS = 60.0


def look_at_epoch() -> None:
    """See whether the database was set back, even if no service reads the feed."""
    epochs.current()


def show_life() -> None:
    """Write down that this service's relay lives: one that is dead does not show while nothing is to be sent."""
    note(RELAY_SEEN, {})


def standard_duties() -> list[Duty]:
    # The orchestrator gives time back to the very sagas (`give_time_back`).
    if settings.SERVICE != ORCHESTRATOR and trouble.note_late not in publishing.late_publish_observers:
        publishing.late_publish_observers.append(trouble.note_late)
    period = settings.TIMES.period
    barrier = BackgroundDuty("retention of the barrier", retention.BarrierRetention().run)
    return [
        Duty("life", show_life, period(LIFE_SECONDS)),
        Duty("epoch", look_at_epoch, EPOCH_SECONDS),
        Duty("retention", retention.delete_expired, period(retention.EVERY_SECONDS)),
        Duty(barrier.name, barrier.start, period(retention.EVERY_SECONDS)),
        *hold_duties(),
    ]
