"""The relay's duties for copies: it follows their sources and compares them with these."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError

from celery_config.copies import freshness, sync
from celery_config.copies.models import CopyState
from celery_config.copies.registry import Copy, copies
from celery_config.copies.source_client import SourceClient, open_source
from celery_config.copies.sync import SyncResult
from celery_config.db.functions import Now
from celery_config.http.service_client import ServiceCallError
from celery_config.messaging.outbox.relay import BackgroundDuty, Duty

log = structlog.get_logger(__name__)
LOOK_SECONDS, CHECK_SECONDS = 5.0, 60.0
# A system that has just started has more urgent work.
FIRST_CHECK_AFTER_SECONDS = 300.0
EXPECTED = (ServiceCallError, DatabaseError, InterfaceError)


def duties() -> list[Duty]:
    """The duties of a service's relay, for each copy of its own: a source that has no end holds up no other copy."""
    return [duty for copy in copies.values() for duty in make_duties(copy)]


def make_duties(copy: Copy) -> list[Duty]:
    now = time.monotonic()
    look = BackgroundDuty(f"copy {copy.name}: look", partial(measure_lag, copy))
    check = BackgroundDuty(f"copy {copy.name}: check", partial(check_if_due, copy))
    return [
        Duty(look.name, look.start, LOOK_SECONDS, next_at=now + LOOK_SECONDS),
        Duty(check.name, check.start, CHECK_SECONDS, next_at=now + FIRST_CHECK_AFTER_SECONDS),
    ]


def measure_lag(copy: Copy) -> None:
    try:
        freshness.measure_lag(open_source(copy, settings.TIMES.call))
    except EXPECTED as error:
        log.warning("it is not known how far the copy is", copy=copy.name, error=str(error))


def check_if_due(copy: Copy) -> None:
    """Compare a copy whose check is due; only one of several relays does it."""
    freshness.get_state(copy)
    next_at = Now() + timedelta(hours=settings.COPY_CHECK_HOURS)
    due = CopyState.objects.filter(pk=copy.name, check_due_at__lte=Now())
    if not due.update(check_due_at=next_at):
        return
    try:
        check_copy(open_source(copy))
    except EXPECTED as error:
        log.error("copy not compared; tried again at the next check", copy=copy.name, error=str(error))


def check_copy(source: SourceClient) -> None:
    """Compare a copy with its source, and save what was found for admin and metrics."""
    found, name = sync.compare(source, patience=sync.PATIENCE_SECONDS), source.copy.name
    save_result(name, found)
    if found.differing:
        log.error("a copy differs from its source", copy=name, rows=found.differing, keys=found.keys)


def save_result(name: str, found: SyncResult) -> None:
    values = {"checked_at": Now(), "rows": found.rows, "differing": found.differing}
    CopyState.objects.update_or_create(name=name, defaults=values)
