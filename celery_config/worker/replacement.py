"""Replacement of messages that the broker cannot dead-letter: a copy without their headers takes their place.

RabbitMQ notes each death of a message in its header `x-death`, and believes what a sender wrote there. A list that it
cannot read ends what moves the dead letters of all queues; one that names the queue of dead letters may lose a message.
No message of ours that waits for a worker has this header. So the broker gets a copy that says why it is refused, and
the original is acknowledged when the broker has confirmed that. The copy then goes to the dead letters like any other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import structlog
from celery import Celery
from django.conf import settings
from kombu.entity import PERSISTENT_DELIVERY_MODE
from kombu.message import Message

from celery_config.broker import topology
from celery_config.broker.outgoing_messages import PreparedMessage
from celery_config.broker.properties import DEATHS, LONGEST_SHOWN, OF_DEATHS, REFUSED
from celery_config.broker.publisher import Publisher

log = structlog.get_logger(__name__)
WAIT_SECONDS = 1.0
KEPT = ("task", "id", "root_id")


def is_deadly(message: Message) -> bool:
    """Whether the broker might not survive the dead letter of this message."""
    return DEATHS in (message.headers or {})


def make_copy(message: Message, service: str) -> PreparedMessage:
    """Return a message of the same body for the same workers, which says why it is refused."""
    headers, route = message.headers, message.delivery_info or {}
    exchange, key = str(route.get("exchange", "")), str(route.get("routing_key", ""))
    fault = OF_DEATHS.format(exchange, key)
    if REFUSED in headers:
        fault += f"; {headers[REFUSED]!r}"
    urgent = topology.is_urgent(route) or key == topology.urgent_queue(service)
    to = topology.route_task(service, "refused", urgent=urgent)
    shown = {name: value[:LONGEST_SHOWN] for name in KEPT if isinstance(value := headers.get(name), str)}
    id = str(uuid4())
    return PreparedMessage(
        route=f"{to['exchange']}/{to['routing_key']}",
        task=shown.get("task", ""),
        id=id,
        body=message.body,
        headers={**shown, REFUSED: fault},
        properties={"correlation_id": id, "delivery_mode": PERSISTENT_DELIVERY_MODE},
        **to,
    )


class MessageReplacer:
    """Replaces messages in a thread of its own, so that no other message waits for it.

    Args:
        acknowledge: acknowledges a message; called in this thread.
    """

    def __init__(self, app: Celery, acknowledge: Callable[[Message], None]) -> None:
        self.publisher = Publisher(app, settings.TIMES.publish)
        self.acknowledge = acknowledge
        self.stopped = threading.Event()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="replacement")

    def add(self, message: Message) -> None:
        self.thread.submit(self.replace, message)

    def replace(self, message: Message) -> None:
        """Try until the broker has the copy; given back to it, the original would use up its deliveries."""
        copy = make_copy(message, settings.SERVICE)
        log.error("a message that the broker cannot dead-letter is replaced", fault=copy.headers[REFUSED])
        while not self.stopped.is_set():
            try:
                if self.publisher.publish_prepared({0: copy}):
                    self.acknowledge(message)
                    return
            except Exception as error:  # the broker has the original until we are through
                log.warning("the broker does not take its copy, tried again", error=repr(error))
            self.stopped.wait(WAIT_SECONDS)

    def stop(self) -> None:
        """End soon; the broker delivers again what is not replaced."""
        self.stopped.set()
        self.thread.submit(self.publisher.close)
        self.thread.shutdown(wait=False)
