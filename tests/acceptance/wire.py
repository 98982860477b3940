"""The messages between the services, as the broker's administrator sees them: copied, held back, sent by hand."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import amqp
from kombu import Connection

from celery_config.broker.topology import (
    EVENTS,
    Topology,
    events_queue,
    task_queues,
)
from celery_config.common.services import SERVICES, SUBSCRIPTIONS
from compose.local.stack import Stack
from tests.hostile_properties import RawMessage

BINDINGS = {queue.name: queue.bindings for queue in Topology.load(SUBSCRIPTIONS).queues()}
PATTERNS = Topology.load(SUBSCRIPTIONS).patterns
LOOK_SECONDS = 0.2
AT_ONCE = 500
HOLD_SECONDS = 30.0
THE_LAST = "the last one for its reader"


@dataclass(frozen=True)
class Letter:
    """A message and the queue it was meant for.

    Args:
        raw: the bytes of its properties, if no client would write them so.
        key: the routing key, if it is not the queue's name.
    """

    queue: str
    body: bytes
    properties: dict[str, Any]
    raw: bytes | None = None
    key: bytes | None = None

    @property
    def message(self) -> amqp.Message:
        return (
            amqp.Message(self.body, **self.properties)
            if self.raw is None
            else RawMessage(self.body, self.raw)
        )

    @property
    def size(self) -> int:
        """Its bytes, without properties that a client wrote."""
        return len(self.body) + len(self.raw or b"")

    @property
    def headers(self) -> dict[str, Any]:
        return dict(self.properties.get("application_headers") or {})

    @property
    def task(self) -> str:
        return str(self.headers.get("task", ""))

    @property
    def kwargs(self) -> dict[str, Any]:
        return dict(json.loads(self.body)[1])

    def is_step(self, saga: str, step: str, operation: str = "do") -> bool:
        kwargs = self.kwargs
        return (kwargs.get("saga"), kwargs.get("step"), kwargs.get("operation")) == (saga, step, operation)


@dataclass
class Held:
    """What an interception keeps back; it grows while the interception lasts."""

    letters: list[Letter] = field(default_factory=list)

    def of(self, saga: str) -> list[Letter]:
        return [letter for letter in self.letters if letter.kwargs.get("saga") == saga]


class Wire:
    """The broker of a running stack."""

    def __init__(self, stack: Stack) -> None:
        self.url = stack.broker_admin_url

    @contextlib.contextmanager
    def channel(self) -> Iterator[amqp.Channel]:
        with Connection(self.url) as connection:
            yield connection.default_channel

    def send(self, *letters: Letter) -> None:
        """Put the letters into their queues, past the exchanges, as fast as the broker takes them, and wait for it.

        What a queue has not taken yet is lost with the channel that it was published on.
        """
        with self.channel() as channel:
            unconfirmed: set[int] = set()

            def confirmed(tag: int, multiple: bool) -> None:
                unconfirmed.difference_update([n for n in unconfirmed if n <= tag] if multiple else [tag])

            channel.confirm_select()
            channel.events["basic_ack"].add(confirmed)
            for number, letter in enumerate(letters, 1):
                unconfirmed.add(number)
                channel.basic_publish(letter.message, exchange="", routing_key=letter.key or letter.queue)
                # A broker that is behind stops reading, and the kernel gives up a connection that nobody reads.
                while len(unconfirmed) >= (AT_ONCE if number < len(letters) else 1):
                    channel.connection.drain_events(timeout=HOLD_SECONDS)

    def waiting(self, queue: str) -> int:
        """Messages in the queue that no worker has taken yet."""
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)

    def consumers(self, queue: str) -> int:
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).consumer_count)

    @contextlib.contextmanager
    def holding(self, queue: str) -> Iterator[None]:
        """Have a queue for this process alone, as soon as no other process has it."""
        end = time.monotonic() + HOLD_SECONDS
        while True:
            with self.channel() as channel:
                try:
                    channel.queue_declare(queue, exclusive=True)
                except amqp.exceptions.ResourceLocked:
                    assert time.monotonic() < end, f"somebody else has {queue}"
                    time.sleep(LOOK_SECONDS)
                    continue
                yield
                return

    def peek(self, queue: str) -> Letter:
        """Look at the first message that waits; it stays where it is."""
        with self.channel() as channel:
            message = channel.basic_get(queue)
            assert message is not None, f"{queue} is empty"
            return Letter(queue, bytes(as_bytes(message.body)), dict(message.properties))

    @contextlib.contextmanager
    def copies(self) -> Iterator[list[Letter]]:
        """Collect a copy of everything that is sent between the services."""
        copied: list[Letter] = []
        with contextlib.ExitStack() as readers:
            for queue in (queue for service in SERVICES for queue in task_queues(service)):
                readers.enter_context(self.reading(queue, copied.append, *BINDINGS[queue]))
            for service in PATTERNS:
                readers.enter_context(
                    self.reading(events_queue(service), copied.append, *events_for(service))
                )
            yield copied

    @contextlib.contextmanager
    def held_back(self, service: str, wanted: Callable[[Letter], bool]) -> Iterator[Held]:
        """Keep the commands for `service` that are `wanted`; all others go on to it.

        What is held stays held, also afterwards: `send` delivers it.
        """
        held = Held()

        def decide(letter: Letter) -> None:
            if wanted(letter):
                held.letters.append(letter)
            else:
                self.send(letter)

        # Bound before the other is unbound: for a moment a message may come twice, but none is lost.
        with contextlib.ExitStack() as intercepted:
            for queue in task_queues(service):
                intercepted.enter_context(self.reading(queue, decide, *BINDINGS[queue]))
                intercepted.enter_context(self.unbound(queue, *BINDINGS[queue]))
            yield held

    @contextlib.contextmanager
    def held_back_events(self, service: str) -> Iterator[Held]:
        """Keep every event that `service` hears; what is held stays held, also afterwards."""
        held, queue = Held(), events_queue(service)
        with self.reading(queue, held.letters.append, *events_for(service)), self.no_events(service):
            yield held

    @contextlib.contextmanager
    def no_events(self, service: str) -> Iterator[None]:
        """Lose every event that `service` wants."""
        with self.unbound(events_queue(service), *events_for(service)):
            yield

    @contextlib.contextmanager
    def unbound(self, queue: str, *bindings: tuple[str, str]) -> Iterator[None]:
        with self.channel() as channel:
            for exchange, key in bindings:
                channel.queue_unbind(queue, exchange, key)
        try:
            yield
        finally:
            with self.channel() as channel:
                for exchange, key in bindings:
                    channel.queue_bind(queue, exchange, key)

    @contextlib.contextmanager
    def reading(
        self, queue: str, take: Callable[[Letter], None], *bindings: tuple[str, str]
    ) -> Iterator[None]:
        """Give `take`, in a thread, every message that these bindings would bring into `queue`, the last one too."""
        name, over, failures = f"test.{uuid4()}", threading.Event(), list[BaseException]()
        with self.channel() as channel:
            channel.queue_declare(name, durable=True, auto_delete=False)
            for exchange, key in bindings:
                channel.queue_bind(name, exchange, key)

        def received(message: Any) -> None:
            if message.properties.get("type") == THE_LAST:
                over.set()
            else:
                take(Letter(queue, bytes(as_bytes(message.body)), dict(message.properties)))

        def read() -> None:
            try:
                with Connection(self.url) as connection:
                    connection.default_channel.basic_consume(name, no_ack=True, callback=received)
                    while not over.is_set():
                        connection.drain_events()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=read, name=f"reads {queue}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self.channel() as channel:
                for exchange, key in bindings:
                    channel.queue_unbind(name, exchange, key)
                self.send(Letter(name, b"", {"type": THE_LAST}))
                thread.join()
                channel.queue_delete(name)
        if failures:
            raise failures[0]


def events_for(service: str) -> list[tuple[str, str]]:
    """The bindings that bring events to it."""
    return [(EVENTS, key) for key in PATTERNS[service]]


def as_bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)
