"""The watchdog drives or stops flows whose due time has passed, so a lost message stops no order for good
(rule 17, the watchdog).

Runs in the orchestrator's relay; several may run.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from celery import Celery
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from kombu import Connection

from celery_config.broker import topology
from celery_config.broker.publisher import broker_errors, drop_connection
from celery_config.common import metrics
from celery_config.common.services import SERVICES
from celery_config.db.functions import Now
from celery_config.failpoints.points import Point, reach
from celery_config.messaging.models import OutboxMessage
from celery_config.saga.engine import clock, scheduling
from celery_config.saga.engine.flows import WatchedFlow
from celery_config.saga.engine.machine import WatchdogFired
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.models import WatchedRow
from celery_config.saga.states import OPEN

log = structlog.get_logger(__name__)
BATCH = 500


def tick(attendance: Attendance) -> None:
    """One look: advance saga time, then redrive the sagas that are due. Nothing happens while a service is down."""
    running = attendance.is_complete()
    now = clock.tick(running=running)
    if running:
        redrive_due(SAGAS, now)


class Attendance:
    """Whether the broker answers and every service has a worker on its commands; says so when that changes.

    The file-based broker of the embedded mode cannot tell who consumes; there it is assumed.
    """

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.connection: Connection | None = None
        self.missing: list[str] = []

    def is_complete(self) -> bool:
        try:
            missing = self.absent()
        except broker_errors(self.app):
            self.close()
            missing = ["broker"]
        if missing != self.missing:
            if missing:
                log.warning("saga time stands", missing=missing)
            else:
                log.info("saga time runs")
            self.missing = missing
        return not missing

    def absent(self) -> list[str]:
        """The services without a worker.

        Raises:
            the broker's errors: it is not there.
        """
        if self.connection is None:
            self.connection = self.app.connection_for_read()
            self.connection.ensure_connection(max_retries=1, timeout=5)
        if self.connection.transport.driver_type != "amqp":
            return []
        channel = self.connection.default_channel
        queues = {s: channel.queue_declare(topology.commands_queue(s), passive=True) for s in SERVICES}
        return [service for service, queue in queues.items() if not queue.consumer_count]

    def close(self) -> None:
        """Forget the connection; the next look opens a new one."""
        connection_to_broker, self.connection = self.connection, None
        if connection_to_broker is not None:
            drop_connection(connection_to_broker)


def redrive_due(flow: WatchedFlow[Any, Any], now: datetime) -> int:
    """Redrive up to `BATCH` silent rows of a flow, and return how many were looked at.

    A row whose own outbox row is not published yet is not silent: we have not spoken.
    """
    unpublished = OutboxMessage.objects.filter(saga=OuterRef("pk"), published_at__isnull=True)
    with transaction.atomic():
        found = list(
            flow.model._default_manager.filter(due_at__lte=now, status__in=OPEN)
            .exclude(Exists(unpublished))
            .select_for_update(
                skip_locked=connection.features.has_select_for_update_skip_locked, of=of_self()
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


def of_self() -> tuple[str, ...]:
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
