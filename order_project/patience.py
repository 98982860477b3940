"""Looks at choreographed orders whose due time came: it says again what fell silent, and withdraws what is too old."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from celery_config.db import bulk
from celery_config.db.functions import Now
from celery_config.failpoints.points import Point, reach
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox.relay import Duty
from celery_config.saga.engine import clock, scheduling
from celery_config.saga.states import OPEN, Status
from order_project.choreography import CHANGING, enter, say_again, seen_of, withdraw
from order_project.domain import DEADLINE_PASSED
from order_project.models import Choreography, SeenEvent

BATCH = 500
TOO_OLD = "the order did not end before its deadline"


def duties() -> list[Duty]:
    """For RELAY_DUTIES. Saga time is the watchdog's to advance: it stands while somebody is down."""
    return [Duty("choreographed orders", drive_due, min(1.0, max(0.1, settings.TIMES.scale)))]


def drive_due() -> bool:
    """Drive up to `BATCH` silent orders and return whether there may be more.

    One of which we have not spoken yet is not silent.
    """
    now = clock.now()
    unspoken = OutboxMessage.objects.filter(saga=OuterRef("pk"), published_at__isnull=True)
    with transaction.atomic():
        found = list(
            Choreography.objects.filter(due_at__lte=now, status__in=OPEN)
            .exclude(Exists(unspoken))
            .select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
            .order_by("due_at")[:BATCH]
        )
        lately = Now() - timedelta(seconds=settings.TIMES.silence_timeout)
        news = SeenEvent.objects.filter(choreography__in=[row.pk for row in found], at__gt=lately)
        heard_of = set(news.values_list("choreography", flat=True))
        for row in found:
            drive(row, now, row.pk in heard_of)
        bulk.update(Choreography, found, CHANGING)
        if found:
            reach(Point.DECIDED)
    return len(found) == BATCH


def drive(row: Choreography, now: datetime, heard_lately: bool) -> None:
    """Look at one locked row; the caller saves it."""
    if scheduling.is_moving(row.status, heard_lately=heard_lately, now=now, deadline=row.deadline_at):
        row.due_at = min(now + timedelta(seconds=settings.TIMES.silence_timeout), row.deadline_at)
    elif row.status == Status.RUNNING and now >= row.deadline_at:
        withdraw(row, code=DEADLINE_PASSED, reason=TOO_OLD)
    elif row.status != Status.RUNNING and now >= row.since + timedelta(
        seconds=settings.TIMES.compensation_timeout
    ):
        (seen,) = seen_of([row])
        enter(row, Status.PARKED, now, seen)
    else:
        say_again(row)
