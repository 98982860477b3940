"""Consumer bootsteps: what our consumer starts and stops besides Celery's own steps."""

from __future__ import annotations

import time
from typing import Any

import structlog
from amqp.exceptions import ResourceLocked
from celery import bootsteps
from celery.worker import state
from celery.worker.consumer.control import Control
from celery.worker.consumer.tasks import Tasks
from celery.worker.control import Panel
from django.conf import settings

from celery_config.messaging import database_gate, under_way
from celery_config.worker.acks import BatchAcknowledger
from celery_config.worker.consumer import SagaConsumer
from celery_config.worker.replacement import MessageReplacer

log = structlog.get_logger(__name__)
GATE_SECONDS = 0.5
TELL_SECONDS = 5.0
EVENTS_SECONDS = 0.25
CONTROL_SECONDS = 5.0
READING_COMMANDS = ("active_queues", "clock", "ping", "registered", "revoked", "stats")
"""Not `conf` and `report`: they tell the tokens of all services to anyone with one service's broker password."""


class SlowStart(bootsteps.StartStopStep):
    """Begins to consume with a window of one message."""

    requires = (Tasks,)

    def start(self, consumer: SagaConsumer) -> None:
        if consumer.connection.transport.driver_type != "amqp":
            return
        consumer.opened = set()
        consumer.connection.default_channel.basic_qos(0, 1, False)


class Frames(bootsteps.StartStopStep):
    """Sends many acknowledgements or task events in one frame, and reads every frame that has arrived."""

    requires = (Tasks,)

    def start(self, consumer: SagaConsumer) -> None:
        is_amqp = consumer.connection.transport.driver_type == "amqp"
        consumer.acks = BatchAcknowledger(consumer.call_soon, consumer.connection_errors, multiple=is_amqp)
        self.timer = consumer.timer.call_repeatedly(EVENTS_SECONDS, consumer.event_dispatcher.flush)
        if consumer.hub:
            consumer.hub.on_tick.add(consumer.read_buffered)

    def stop(self, consumer: SagaConsumer) -> None:
        self.timer.cancel()
        if consumer.hub:
            consumer.hub.on_tick.discard(consumer.read_buffered)


class FastPath(bootsteps.StartStopStep):
    """Runs our tasks in batches."""

    requires = (Frames,)

    def start(self, consumer: SagaConsumer) -> None:
        # This module is imported before Django's models may be.
        from celery_config.worker.batches import BatchRunner

        consumer.has_new = False
        consumer.replacer = MessageReplacer(consumer.app, consumer.acks.acknowledge)
        consumer.runner = BatchRunner(consumer)
        consumer.runner.start()

    def stop(self, consumer: SagaConsumer) -> None:
        # After a lost connection there is nothing to wait for: the broker delivers all messages again.
        consumer.runner.stop(finish_calls=state.should_stop is not None)
        consumer.replacer.stop()


def tell_active(state: Any, **_: Any) -> Any:
    """What the worker has in hand, without the tasks' arguments."""
    return Panel.data["active"](state, safe=True)


class ReadingControl(Control):
    """Remote control that tells about the worker and changes nothing, and that waits until its queue is free.

    Celery's other commands hold messages back, end the worker or make it drop tasks, and leave no trace; or they tell
    settings, or the arguments of tasks, which hold addresses and payment tokens.

    The queue has the node's name and belongs to one connection. A connection that was cut silently lives on at the
    broker until a heartbeat is missed, and Celery's worker would end because of that.
    """

    def __init__(self, consumer: SagaConsumer, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self.box.node.handlers = {name: Panel.data[name] for name in READING_COMMANDS} | {
            "active": tell_active
        }
        self.start, self.stop = self.start_box, self.stop_box
        self.retry: Any = None

    def start_box(self, consumer: SagaConsumer) -> None:
        try:
            self.box.start(consumer)
        except ResourceLocked:
            log.warning("no remote control yet: another connection has its queue", wait_s=CONTROL_SECONDS)
            self.retry = consumer.timer.call_after(CONTROL_SECONDS, self.start_box, (consumer,))

    def stop_box(self, consumer: SagaConsumer) -> None:
        if self.retry:
            self.retry.cancel()
        self.box.stop(consumer)


class DatabaseGate(bootsteps.StartStopStep):
    """Stops consuming while the database is away or a handler hangs, and asks every half second whether that is over.

    Without a consumer saga time stands: no order is compensated for what waits behind a hung handler.
    """

    requires = (Tasks,)

    def start(self, consumer: SagaConsumer) -> None:
        database_gate.consumption_paused.clear()
        self.told_at = 0.0
        self.timer = consumer.timer.call_repeatedly(GATE_SECONDS, self.check, (consumer,))

    def stop(self, consumer: SagaConsumer) -> None:
        self.timer.cancel()

    def check(self, consumer: SagaConsumer) -> None:
        stalled = under_way.find_stalled(settings.STATEMENT_SECONDS)
        if stalled and time.monotonic() >= self.told_at + TELL_SECONDS:
            # First: a broker that does not answer may hold up the rest.
            self.tell(stalled)
        if not database_gate.consumption_paused.is_set():
            if stalled:
                log.error("a handler does not end: no more messages are taken", tasks=stalled)
            elif database_gate.database_away.is_set():
                log.error("database away, or it takes no writes: no more messages are taken")
            else:
                return
            consumer.task_consumer.cancel()
            database_gate.consumption_paused.set()
            consumer.runner.wake()
        if not stalled and database_gate.database_takes_writes():
            log.warning("database back: taking messages again")
            database_gate.database_away.clear()
            database_gate.consumption_paused.clear()
            consumer.consume_slowly()

    def tell(self, stalled: list[str]) -> None:
        """Let the service's pages say so; the broker cannot, if another worker takes messages from the same queues."""
        from celery_config.messaging import trouble  # this module is imported before Django's models may be

        self.told_at = time.monotonic()
        trouble.note(trouble.Cause.HANDLER, ", ".join(sorted(set(stalled))), 3 * TELL_SECONDS)
