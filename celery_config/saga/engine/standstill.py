"""Standstill: saga time stands while what every saga needs is down, so that this compensates no order.

What is checked (rule 17, the watchdog): the broker answers, it takes messages, and each service has a worker on its
tasks. A broker with a resource alarm answers and delivers, and takes nothing.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import structlog
from amqp import Message
from celery import Celery
from django.conf import settings
from kombu import Connection

from celery_config.broker import topology, transport
from celery_config.broker.publisher import broker_errors, drop_connection
from celery_config.common.services import SERVICES, SUBSCRIPTIONS
from celery_config.saga.engine.backlogs import Backlogs
from celery_config.saga.engine.hindrances import HindranceCheck

log = structlog.get_logger(__name__)
BROKER = "broker"
BLOCKED = "broker takes no messages"
PROBE_SECONDS = 1.0
LOOK_SECONDS = 0.001
# No queue is bound to it: the broker confirms the message and drops it.


class StandstillCheck:
    """Finds why saga time stands, and logs it when that changes.

    The file-based broker of the embedded mode has no alarms and cannot tell who consumes: there, time runs.
    """

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.workers = WorkerCheck(app)
        self.backlogs = Backlogs(timedelta(seconds=settings.TIMES.in_hand))
        self.hindrances = HindranceCheck()
        self.probe = PublishProbe(app)
        self.reasons: list[str] = []

    def find_reasons(self) -> list[str]:
        """Return what is down; empty: nothing."""
        try:
            reasons = [BLOCKED] if self.probe.is_blocked() else self.workers.find_missing()
        except broker_errors(self.app):
            self.close()
            reasons = [BROKER]
        if reasons != self.reasons:
            if reasons:
                log.warning("saga time stands", missing=reasons)
            else:
                log.info("saga time runs")
            self.reasons = reasons
        return reasons

    def close(self) -> None:
        """Forget the connections; the next check opens new ones."""
        self.workers.close()
        self.probe.close()


class WorkerCheck:
    """Whether every service has a worker on its tasks, and how long its queues are."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.connection: Connection | None = None
        table = topology.Topology.load(SUBSCRIPTIONS)
        self.queues = [queue for service in SERVICES for queue in table.worker_queues(service)]
        self.consumers: dict[str, int] = {}
        """Workers that take messages, by queue."""
        self.lengths: dict[str, int] = {}
        """Messages that no worker has taken yet, by queue; without a consumer, as without a leader, none are seen."""

    def find_missing(self) -> list[str]:
        """Return the services without a worker.

        Raises:
            the broker's errors: it does not answer.
        """
        if self.connection is None:
            self.connection = self.app.connection_for_read()
            transport.connect(self.connection)
        if self.connection.transport.driver_type != "amqp":
            return []
        channel = self.connection.default_channel
        found = {queue: channel.queue_declare(queue, passive=True) for queue in self.queues}
        self.consumers = {queue: look.consumer_count for queue, look in found.items()}
        self.lengths = {queue: look.message_count for queue, look in found.items() if look.consumer_count}
        return [
            service
            for service in SERVICES
            if not all(found[queue].consumer_count for queue in topology.task_queues(service))
        ]

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            drop_connection(connection)


class PublishProbe:
    """Whether the broker takes messages: it confirms one that no queue wants.

    RabbitMQ tells of an alarm only those who publish, and reads nothing more from their connections. So the probe has a
    connection of its own, and sends nothing while a message is not confirmed.
    """

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.connection: Connection | None = None
        self.channel: Any = None
        self.waits = False

    def is_blocked(self) -> bool:
        """
        Raises:
            the broker's errors: it does not answer.
        """
        if self.connection is None:
            self.open()
        if self.channel is None:
            return False
        if self.waits:
            seconds = LOOK_SECONDS
        else:
            self.waits, seconds = True, PROBE_SECONDS
            self.channel.basic_publish(Message(""), topology.TASKS, topology.PROBE_KEY)
        until = time.monotonic() + seconds
        while self.waits and transport.drain_one(self.connection, until - time.monotonic()):
            pass
        return self.waits

    def open(self) -> None:
        base = self.app.connection_for_write()
        # py-amqp's own confirm mode would wait without limit.
        self.connection = base.clone(
            transport_options={**(base.transport_options or {}), "confirm_publish": False}
        )
        transport.connect(self.connection)
        if self.connection.transport.driver_type == "amqp":
            self.channel = self.connection.default_channel
            self.channel.confirm_select()
            self.channel.events["basic_ack"].add(self.note_confirm)

    def note_confirm(self, tag: int, multiple: bool) -> None:
        self.waits = False

    def close(self) -> None:
        connection, self.connection, self.channel, self.waits = self.connection, None, None, False
        if connection is not None:
            drop_connection(connection)
