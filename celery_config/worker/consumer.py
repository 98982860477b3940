"""Our consumer in Celery's worker: what must never happen to a message is prevented here.

- A message nobody can run (undecodable, malformed, foreign) goes to the dead letters. Celery by itself would
  acknowledge and lose it, or die.
- The prefetch window opens slowly: a worker begins with one message at a time and takes its full window once a
  message came that is not suspected of killing workers. A killer message therefore dies alone, and its neighbours'
  delivery counts stay low (rule 19).
- A message with an ETA waits in the outbox. Celery would hold it in the worker, where it fills the window (rule 10).
- While the database is away nothing is consumed (rule 10).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from kombu.message import Message

from celery_config.broker import transport
from celery_config.broker.headers import NOT_BEFORE, is_suspicious
from celery_config.broker.validation import fault_of
from celery_config.messaging import database_gate
from celery_config.worker.acks import BatchAcknowledger
from celery_config.worker.limits import CALLS, MOST

if TYPE_CHECKING:
    from celery_config.worker.batches import Batches

log = structlog.get_logger(__name__)


class SagaConsumer(Consumer):
    """See the module."""

    class Blueprint(Consumer.Blueprint):
        # Nothing here is delayed in the broker (rule 10), and workers have no right to declare its queues.
        default_steps = [
            "celery_config.worker.bootsteps:RetryingControl" if step.endswith(":Control") else step
            for step in Consumer.Blueprint.default_steps
            if not step.endswith(":DelayedDelivery")
        ]

    def __init__(self, on_task_request: Callable[[Request], None], *args: Any, **kwargs: Any) -> None:
        super().__init__(on_task_request, *args, **kwargs)
        self.to_pool = on_task_request
        self.on_task_request = self.carry_out

    def carry_out(self, request: Request) -> None:
        """Ours in batches; all others, and what has a time limit of its own, in Celery's pool."""
        if hasattr(request.task, "work") and not any(request.time_limits):
            # Of the channel that brought it: after a reconnect another message bears its delivery tag.
            acks, message = self.acks, request.message
            request._on_ack = lambda *_: acks.acknowledge(message)
            self.batches.put(request)
            self.untold = True
            if self.hub is None:
                self.tell()
        else:
            self.to_pool(request)

    def read_on(self) -> None:
        """Before the event loop waits: read what has been received already, then tell the runner what came with it."""
        with suppress(TimeoutError):  # the rest of a message is still under way
            while transport.has_more(self.connection):
                self.connection.drain_events(timeout=0)
        if self.untold:
            self.tell()

    def tell(self) -> None:
        self.untold = False
        self.batches.look_again()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], None]:
        run = super().create_task_handler(*args, **kwargs)

        def receive(message: Message) -> None:
            if fault := fault_of(message, self.strategies):
                log.error("to the dead letters", fault=fault, queue=message.delivery_info.get("routing_key"))
                message.reject_log_error(log, self.connection_errors)
                return
            if not is_suspicious(message):
                self.open_window()
            if message.headers.get("eta") and hasattr(self.app.tasks[message.headers["task"]], "work"):
                message.headers[NOT_BEFORE] = message.headers.pop("eta")
            self.acks.received(message)
            run(message)

        return receive

    def on_send_event_buffered(self) -> None:
        """Task events are sent in crowds, by a timer: Celery would send them one by one as soon as it has time."""

    def open_window(self) -> None:
        """Take the full prefetch window from now on."""
        if self.window_open:
            return
        self.window_open = True
        self.call_soon(self._consume_with_full_window)

    def _consume_with_full_window(self) -> None:
        # On quorum queues the prefetch is a consumer's own and fixed when it begins: begin again.
        self.task_consumer.cancel()
        self.connection.default_channel.basic_qos(0, MOST + CALLS, False)
        if not database_gate.consumption_paused.is_set():
            self.task_consumer.consume()

    batches: Batches
    acks: BatchAcknowledger
    window_open, untold = True, False
