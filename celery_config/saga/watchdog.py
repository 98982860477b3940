"""The watchdog heals whatever Celery, the broker or a crash dropped: it looks at rows whose due time came (rule 17).

Runs in the orchestrator's relay; several may run.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from celery import Celery, current_app
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Exists, Min, OuterRef
from django.utils import timezone
from kombu import Connection

from celery_config import metrics, topology
from celery_config.database import Now
from celery_config.failpoints import Point, reach
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.publisher import broker_errors, drop
from celery_config.messaging.relay import Duty
from celery_config.messaging.retention import EVERY_SECONDS
from celery_config.saga import clock, patience
from celery_config.saga.changes import UnitOfWork
from celery_config.saga.flows import WatchedFlow, flows
from celery_config.saga.machine import OPEN, Due, Status
from celery_config.saga.models import WatchedRow
from celery_config.saga.retention import forget_log
from celery_config.saga.saga_flow import SAGAS

log = structlog.get_logger(__name__)
BATCH = 500


def duties() -> list[Duty]:
    """What the orchestrator's relay does besides."""
    app = current_app._get_current_object()
    from celery_config.saga.dead_letters import DeadLetterReader

    scale = min(1.0, max(0.1, settings.TIMES.scale))
    others = [flow for flow in flows.values() if flow is not SAGAS]
    return [
        Duty("watchdog", partial(tick, Attendance(app)), scale),
        *(
            Duty(str(flow.model._meta.verbose_name_plural), partial(redrive_others, flow), scale)
            for flow in others
        ),
        Duty("dead letters", DeadLetterReader(app).read, scale),
        Duty("saga metrics", measure, 5.0),
        Duty("retention of the log", forget_log, EVERY_SECONDS),
    ]


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
        queues = {
            s: channel.queue_declare(topology.commands_queue(s), passive=True) for s in topology.SERVICES
        }
        return [service for service, queue in queues.items() if not queue.consumer_count]

    def close(self) -> None:
        """Forget the connection; the next look opens a new one."""
        connection_to_broker, self.connection = self.connection, None
        if connection_to_broker is not None:
            drop(connection_to_broker)


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
        lately = {f"{at}__gt": Now() - timedelta(seconds=settings.TIMES.silence)}
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
    if patience.is_moving(row.status, heard_lately=heard_lately, now=work.now, deadline=row.deadline_at):
        row.due_at = min(work.now + timedelta(seconds=settings.TIMES.silence), row.deadline_at)
        work.changed[row.pk] = row
        return
    row.drives += 1
    metrics.REDRIVES.labels(row.status).inc()
    work.take(row, Due())


def redrive_others(flow: WatchedFlow[Any, Any]) -> bool:
    """Redrive rows of another flow than sagas; return whether there may be more.

    Saga time stands while a service is down; then nothing new becomes due.
    """
    return redrive_due(flow, clock.now()) == BATCH


def measure() -> None:
    """Set the gauges of all flows together."""
    counts: Counter[str] = Counter()
    overdue, dues = 0, []
    for model in flows:
        unended = model._default_manager.filter(status__in=[*OPEN, Status.PARKED]).order_by()
        counts.update(dict(unended.values_list("status").annotate(n=Count("pk"))))
        overdue += unended.filter(status=Status.PARKED, answer_by__lt=timezone.now()).count()
        dues.append(model._default_manager.filter(due_at__isnull=False).aggregate(at=Min("due_at"))["at"])
    for status in (*OPEN, Status.PARKED):
        metrics.SAGAS.labels(str(status)).set(counts[str(status)])
    metrics.PARKED_OVERDUE.set(overdue)
    oldest = min(filter(None, dues), default=None)
    metrics.DUE_AGE.set(max(0.0, (clock.now() - oldest).total_seconds()) if oldest else 0)
