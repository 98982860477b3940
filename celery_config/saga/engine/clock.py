"""Saga time: a clock that stands while we are down, so that this compensates no order (rule 17, the watchdog)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from celery_config.db.functions import Now, fetch_all, parse_time
from celery_config.saga.models import SagaClock

MAX_REASON = 200
ASK = f"SELECT now FROM {SagaClock._meta.db_table} WHERE id = 1"


def now() -> datetime:
    """The present saga time, by plain SQL: every transaction of a saga reads it."""
    found = fetch_all(ASK)
    return parse_time(found[0][0]) if found else start()


def start() -> datetime:
    """Start the clock, if it does not run yet; return the present saga time."""
    SagaClock.objects.bulk_create([SagaClock(id=1, now=Now(), ticked_at=Now())], ignore_conflicts=True)
    return SagaClock.objects.values_list("now", flat=True).get(pk=1)


def tick(stands_for: str = "") -> datetime:
    """Advance saga time by the time since the last tick, at most `clock_step` seconds, by the database's clock.

    Args:
        stands_for: why saga time stands, such as `broker`; empty: it runs.
    """
    with transaction.atomic():
        skip = connection.features.has_select_for_update_skip_locked
        clock = (
            SagaClock.objects.annotate(real=Now()).select_for_update(skip_locked=skip).filter(pk=1).first()
        )
        if clock is None:
            return now()  # another relay is ticking, or it is the first tick of all
        elapsed = max(timedelta(0), clock.real - clock.ticked_at)
        if stands_for:
            clock.stands_since = clock.stands_since or clock.real
        else:
            clock.stands_since = None
            clock.now += min(elapsed, timedelta(seconds=settings.TIMES.clock_step))
        clock.stands_for = stands_for[:MAX_REASON]
        clock.ticked_at = clock.real
        clock.save(update_fields=["now", "ticked_at", "stands_since", "stands_for"])
        return clock.now
