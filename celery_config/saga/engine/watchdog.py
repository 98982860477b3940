"""Heals whatever Celery, the broker or a crash dropped: it looks at sagas whose due time came (rule 17).

Runs in the orchestrator's relay; several may run.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from celery import Celery
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from kombu import Connection

from celery_config.broker import topology
from celery_config.broker.publisher import broker_errors, drop
from celery_config.common import metrics
from celery_config.db import bulk
from celery_config.db.functions import Now
from celery_config.failpoints.points import Point, reach
from celery_config.messaging.models import OutboxMessage
from celery_config.saga.engine import clock, runner, scheduling, step_log
from celery_config.saga.engine.machine import WatchdogFired
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.models import SagaInstance, SagaStep
from celery_config.saga.states import OPEN

log = structlog.get_logger(__name__)
BATCH = 500


def tick(attendance: Attendance) -> None:
    """One look: advance saga time, then drive what is due. Nothing happens while somebody is down."""
    running = attendance.is_complete()
    now = clock.tick(running=running)
    if running:
        drive_due(now)


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


def drive_due(now: datetime) -> int:
    """Drive up to `BATCH` silent sagas and return how many were looked at.

    A saga whose own outbox row is not published yet is not silent: we have not spoken.
    """
    unpublished = OutboxMessage.objects.filter(saga=OuterRef("pk"), published_at__isnull=True)
    with transaction.atomic():
        rows = list(
            SagaInstance.objects.filter(due_at__lte=now, status__in=OPEN)
            .exclude(Exists(unpublished))
            .select_for_update(
                skip_locked=connection.features.has_select_for_update_skip_locked, of=of_self()
            )
            .order_by("due_at")[:BATCH]
        )
        lately = Now() - timedelta(seconds=settings.TIMES.silence_timeout)
        steps = SagaStep.objects.filter(saga__in=[r.pk for r in rows], updated_at__gt=lately)
        heard_of = set(steps.values_list("saga_id", flat=True))
        changes = UnitOfWork(now, step_log.read_log(rows), step_log.read_replies(rows))
        moving = [row for row in rows if not drive(row, now, row.pk in heard_of, changes)]
        bulk.update(SagaInstance, moving, ["due_at"])
        changes.write()
        if rows:
            reach(Point.DECIDED)
    return len(rows)


def of_self() -> tuple[str, ...]:
    return ("self",) if connection.features.has_select_for_update_of else ()


def drive(row: SagaInstance, now: datetime, heard_lately: bool, changes: UnitOfWork) -> bool:
    """Drive one locked saga; unless its log shows that it is moving: then it is looked at later, and False."""
    if scheduling.is_moving(row.status, heard_lately=heard_lately, now=now, deadline=row.deadline_at):
        row.due_at = min(now + timedelta(seconds=settings.TIMES.silence_timeout), row.deadline_at)
        return False
    row.drives += 1
    metrics.REDRIVES.labels(row.status).inc()
    runner.apply_trigger(row, WatchdogFired(), work=changes)
    return True
