"""Consumer of our workers: no message is lost, and none that kills a worker or has to wait harms the others.

- A message that no worker can run (undecodable, malformed, foreign) goes to the dead letters. Celery by itself would
  acknowledge and lose it, hold it, or die. Foreign are also the tasks that are built into Celery.
- A message whose dead letter would do harm to the broker is replaced first, however often it came.
- The prefetch window of a queue opens slowly: a worker begins with one message at a time, and takes its full window
  after the first message of this queue that is not suspected of killing workers. A killer message therefore dies alone,
  and the delivery counts of its neighbours stay low (rule 19, dead letters).
- A message with an ETA is none of ours. Celery would hold it in the worker, where it fills the window (rule 10, locks
  and retries).
- While the database is away nothing is consumed (rule 10, locks and retries).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from django.conf import settings
from kombu import Connection
from kombu.message import Message

from celery_config.broker import transport
from celery_config.broker.incoming_headers import is_suspicious
from celery_config.broker.validation import find_fault
from celery_config.worker.acks import BatchAcknowledger
from celery_config.worker.limits import MAX_CALLS, MAX_MESSAGES
from celery_config.worker.replacement import MessageReplacer, is_deadly

if TYPE_CHECKING:
    from celery_config.worker.batches import BatchRunner

log = structlog.get_logger(__name__)
CONNECT_WAIT, MAX_WAIT = 0.5, 5.0
"""Seconds between two tries to connect: each time longer by the first, up to the second."""


class SagaConsumer(Consumer):
    """See the module."""

    class Blueprint(Consumer.Blueprint):
        # Nothing is delayed in the broker (rule 10, locks and retries), and workers may not declare queues for it.
        default_steps = [
            "celery_config.worker.bootsteps:ReadingControl" if step.endswith(":Control") else step
            for step in Consumer.Blueprint.default_steps
            if not step.endswith(":DelayedDelivery")
        ]

    runner: BatchRunner
    replacer: MessageReplacer
    acks: BatchAcknowledger
    opened: set[str] | None = None
    """The tags of the queues' consumers that have the full window; None: there are no windows."""
    has_new = False

    def __init__(self, on_task_request: Callable[[Request], None], *args: Any, **kwargs: Any) -> None:
        super().__init__(on_task_request, *args, **kwargs)
        self.on_task_request = self.dispatch

    def ensure_connected(self, connection: Connection) -> Connection:
        """Connect, however long it takes, with waits that are no longer than the relay's."""
        connection.ensure_connection = partial(  # type: ignore[method-assign]
            connection.ensure_connection,
            interval_start=CONNECT_WAIT,
            interval_step=CONNECT_WAIT,
            interval_max=MAX_WAIT,
        )
        return super().ensure_connected(connection)

    def dispatch(self, request: Request) -> None:
        """Give a task to the runner instead of Celery's pool."""
        # Of the channel that brought it: after a reconnect another message has its delivery tag.
        acks, message = self.acks, request.message
        request._on_ack = lambda *_: acks.acknowledge(message)
        self.runner.add(request)
        self.has_new = True
        if self.hub is None:
            self.wake_runner()

    def read_buffered(self) -> None:
        """Read what has been received already, before the event loop waits; then wake the runner for all of it."""
        with suppress(TimeoutError):  # the rest of a message is still under way
            while transport.has_frame(self.connection):
                self.connection.drain_events(timeout=0)
        if self.has_new:
            self.wake_runner()

    def wake_runner(self) -> None:
        self.has_new = False
        self.runner.wake()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], None]:
        run = super().create_task_handler(*args, **kwargs)
        ours = {name for name, task in self.app.tasks.items() if hasattr(task, "work")}

        def receive(message: Message) -> None:
            if self.replace_if_deadly(message):
                return
            if fault := find_fault(message, ours, receiver=settings.SERVICE):
                self.send_to_dead_letters(message, fault)
                return
            if not is_suspicious(message):
                self.open_window(message.delivery_info.get("consumer_tag", ""))
            self.acks.note_delivery(message)
            try:
                run(message)
            except self.connection_errors:
                raise
            except Exception as error:  # what a sender wrote ends no worker
                log.exception("a message that Celery cannot receive")
                self.send_to_dead_letters(message, repr(error))

        return receive

    def replace_if_deadly(self, message: Message) -> bool:
        """Replace a message that the broker cannot dead-letter; the file-based broker has no dead letters."""
        if self.opened is None or not is_deadly(message):
            return False
        self.acks.note_delivery(message)
        self.replacer.add(message)
        return True

    def send_to_dead_letters(self, message: Message, fault: str) -> None:
        log.error("to the dead letters", fault=fault, queue=message.delivery_info.get("routing_key"))
        message.reject_log_error(log, self.connection_errors)

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Lose no message that kombu cannot read; Celery would acknowledge it."""
        if message.delivery_info.get("consumer_tag") in (message.channel.no_ack_consumers or ()):
            log.error("a remote control message that cannot be read", error=repr(exc))
        elif not self.replace_if_deadly(message):
            self.send_to_dead_letters(message, repr(exc))

    def on_send_event_buffered(self) -> None:
        """Do nothing: a timer sends many task events together; Celery would send each as soon as it has time."""

    def open_window(self, tag: str) -> None:
        """Take the full prefetch window of one queue from now on; `tag` is that of its consumer."""
        if self.opened is None or tag in self.opened:
            return
        self.opened.add(tag)
        self.call_soon(self._consume_with_full_window, tag)

    def _consume_with_full_window(self, tag: str) -> None:
        # On quorum queues the prefetch belongs to a consumer and is fixed when it begins: begin again.
        consumer, tags = self.task_consumer, self.task_consumer._active_tags
        queue = next((queue for queue in consumer.queues if tags.get(queue.name) == tag), None)
        if queue is None or self.opened is None:
            return  # nothing is consumed at present
        consumer.cancel_by_queue(queue)
        self.connection.default_channel.basic_qos(0, MAX_MESSAGES + MAX_CALLS, False)
        consumer.add_queue(queue)
        consumer.consume()
        self.opened.add(tags[queue.name])

    def consume_slowly(self) -> None:
        """Begin to consume, each queue with a window of one message."""
        if self.opened is not None:
            self.opened.clear()
            self.connection.default_channel.basic_qos(0, 1, False)
        self.task_consumer.consume()
