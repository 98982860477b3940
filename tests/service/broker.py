"""A real RabbitMQ to test with; the fixture `rabbit` starts it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery
from kombu import Connection

from celery_config.broker.topology import VHOST, Topology
from celery_config.common.services import SUBSCRIPTIONS
from celery_config.settings import celery_settings
from compose.local.rabbitmq import RabbitServer

ADMIN = "admin"


@contextmanager
def app_of(service: str, rabbit: RabbitServer, folder: Path) -> Iterator[Celery]:
    """The service's Celery app with its own broker user, and every queue empty."""
    with Connection(rabbit.url(ADMIN)) as connection:
        for queue in Topology.load(SUBSCRIPTIONS).queues():
            connection.default_channel.queue_purge(queue.name)
    app = Celery(service, set_as_current=False, fixups=[])
    app.config_from_object(celery_settings(service, rabbit.url(service), folder), namespace="CELERY")
    yield app
    app.close()


def drain(rabbit: RabbitServer, queue: str) -> list[Any]:
    """Every message of a queue; a quorum queue shows a new one a moment after its confirm."""
    found: list[Any] = []
    with Connection(rabbit.url(ADMIN)) as connection:
        empty_since = time.monotonic()
        while time.monotonic() - empty_since < 0.3:
            message = connection.default_channel.basic_get(queue, no_ack=True)
            if message is not None:
                found.append(message)
                empty_since = time.monotonic()
    return found


@contextmanager
def leaderless(rabbit: RabbitServer, queue: str) -> Iterator[None]:
    """A queue that answers nothing for a while."""
    server = f"whereis('{VHOST}_{queue}')"
    rabbit.ctl("eval", f"sys:suspend({server}).")
    try:
        yield
    finally:
        rabbit.ctl("eval", f"sys:resume({server}).")


def kwargs_of(message: Any) -> Any:
    return json.loads(message.body)[1]
