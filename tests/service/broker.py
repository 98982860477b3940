"""A real RabbitMQ to test with; the fixture `rabbit` starts it."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery
from kombu import Connection

from celery_config.broker.topology import EXCHANGES, VHOST, Topology
from celery_config.common.services import SUBSCRIPTIONS
from celery_config.settings import celery_settings
from compose.local.rabbitmq import RabbitServer

ADMIN = "admin"


@contextmanager
def make_app(
    service: str, rabbit: RabbitServer, folder: Path, *, hosts_before: Sequence[str] = ()
) -> Iterator[Celery]:
    """The service's Celery app with its own broker user, and every queue empty.

    Args:
        hosts_before: addresses that stand first in its broker's URL.
    """
    with Connection(rabbit.url(ADMIN)) as connection:
        for queue in Topology.load(SUBSCRIPTIONS).queues():
            connection.default_channel.queue_purge(queue.name)
    app = Celery(service, set_as_current=False, fixups=[])
    url = ";".join([*hosts_before, rabbit.url(service)])
    app.config_from_object(celery_settings(service, url, folder), namespace="CELERY")
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
def dead_hosts() -> Iterator[list[str]]:
    """A broker host that refuses connections, and one that accepts them and says nothing."""
    with socket.socket() as refuses, socket.socket() as hangs:
        for each in (refuses, hangs):
            each.bind(("127.0.0.1", 0))
        hangs.listen()
        yield [f"amqp://x:x@127.0.0.1:{each.getsockname()[1]}/{VHOST}" for each in (refuses, hangs)]


@contextmanager
def alarmed(rabbit: RabbitServer) -> Iterator[None]:
    """A broker with a resource alarm: it delivers, and takes nothing."""
    rabbit.ctl("set_vm_memory_high_watermark", "absolute", "1")
    try:
        yield
    finally:
        rabbit.ctl("set_vm_memory_high_watermark", "absolute", "1GB")


@contextmanager
def frozen(rabbit: RabbitServer) -> Iterator[None]:
    """A broker that hangs: its host answers, and it does not."""
    rabbit.process.send(signal.SIGSTOP)
    # The kernel stops one thread after the other.
    threads = Path(f"/proc/{rabbit.process.pid}/task")
    # Chaos imports this without Django, which the waits of `together` need.
    end = time.monotonic() + 20
    while not all(is_stopped(each) for each in threads.iterdir()):
        assert time.monotonic() < end, "the broker does not stand still"
        time.sleep(0.005)
    try:
        yield
    finally:
        rabbit.process.send(signal.SIGCONT)


def is_stopped(thread: Path) -> bool:
    _, _, state = (thread / "stat").read_text().rpartition(") ")
    return state.startswith("T")


@contextmanager
def leaderless(rabbit: RabbitServer, queue: str) -> Iterator[None]:
    """A queue that answers nothing for a while."""
    server = f"whereis('{VHOST}_{queue}')"
    rabbit.ctl("eval", f"sys:suspend({server}).")
    try:
        yield
    finally:
        rabbit.ctl("eval", f"sys:resume({server}).")


@contextmanager
def without_exchange(rabbit: RabbitServer, exchange: str) -> Iterator[None]:
    """An exchange of ours is missing for a while: an administrator's mistake."""
    topology = Topology.load(SUBSCRIPTIONS)
    with Connection(rabbit.url(ADMIN)) as connection:
        channel = connection.default_channel
        channel.exchange_delete(exchange)
        try:
            yield
        finally:
            kind, arguments = EXCHANGES[exchange]
            channel.exchange_declare(exchange, kind, durable=True, auto_delete=False, arguments=arguments)
            for queue in topology.queues():
                for source, key in queue.bindings:
                    if source == exchange:
                        channel.queue_bind(queue.name, exchange, key)


def kwargs_of(message: Any) -> Any:
    return json.loads(message.body)[1]
