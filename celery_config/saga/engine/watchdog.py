"""The watchdog drives or stops flows whose due time has passed, so a lost message stops no order for good
(rule 17, the watchdog).

Runs in the orchestrator's relay; several may run.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from celery_config.common import metrics
from celery_config.db.functions import Now
from celery_config.failpoints.points import Point, reach
from celery_config.messaging.models import OutboxMessage
from celery_config.saga.engine import clock, scheduling
from celery_config.saga.engine.flows import WatchedFlow
from celery_config.saga.engine.machine import WatchdogFired
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.engine.standstill import StandstillCheck
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.models import WatchedRow
from celery_config.saga.states import OPEN

BATCH = 500


def tick(standstill: StandstillCheck) -> None:
    """Advance saga time, then redrive the sagas that are due. Nothing is redriven while saga time stands."""
    reasons = standstill.find_reasons()
    now = clock.tick(", ".join(reasons))
    if not reasons:
        redrive_due(SAGAS, now)


def redrive_due(flow: WatchedFlow[Any, Any], now: datetime) -> int:
    """Redrive up to `BATCH` silent rows of a flow, and return how many were looked at.

    A row whose own outbox row is not published yet is skipped: its message was not sent yet.
    """
    unpublished = OutboxMessage.objects.filter(saga=OuterRef("pk"), published_at__isnull=True)
    with transaction.atomic():
        found = list(
            flow.model._default_manager.filter(due_at__lte=now, status__in=OPEN)
            .exclude(Exists(unpublished))
            .select_for_update(
                skip_locked=connection.features.has_select_for_update_skip_locked, of=lock_target()
            )
            .order_by("due_at")[:BATCH]
        )
        table, key, at = flow.news
        lately = {f"{at}__gt": Now() - timedelta(seconds=settings.TIMES.silence_timeout)}
        news = table._default_manager.filter(**{f"{key}__in": [row.pk for row in found]}, **lately)
        heard_of = set(news.values_list(key, flat=True))
        work = UnitOfWork(flow, now, flow.read_facts(found))
        for row in found:
            redrive(row, work, row.pk in heard_of)
        work.write()
        if found:
            reach(Point.DECIDED)
    return len(found)


def lock_target() -> tuple[str, ...]:
    return ("self",) if connection.features.has_select_for_update_of else ()


def redrive(row: WatchedRow, work: UnitOfWork[Any, Any], heard_lately: bool) -> None:
    """Redrive one locked row; if what was heard of it shows that it is moving, look at it later."""
    if scheduling.is_moving(row.status, heard_lately=heard_lately, now=work.now, deadline=row.deadline_at):
        row.due_at = min(work.now + timedelta(seconds=settings.TIMES.silence_timeout), row.deadline_at)
        work.changed[row.pk] = row
        return
    row.drives += 1
    metrics.REDRIVES.labels(row.status).inc()
    work.apply_trigger(row, WatchdogFired())


def redrive_others(flow: WatchedFlow[Any, Any]) -> bool:
    """Redrive rows of another flow than sagas; return whether there may be more.

    Saga time stands while a service is down; then nothing new becomes due.
    """
    return redrive_due(flow, clock.now()) == BATCH
