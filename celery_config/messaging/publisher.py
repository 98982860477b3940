"""Publishing many messages with pipelined confirms: publish all, then wait once for the broker's word."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import structlog
from celery import Celery
from kombu import Connection
from kombu.entity import PERSISTENT_DELIVERY_MODE
from kombu.exceptions import OperationalError

from celery_config import codec, wire

log = structlog.get_logger(__name__)
# Options that say where a message goes; all others (retries, chain, argsrepr, …) become a part of it.
HANDLED_HERE = {"task_id", "link_error", "exchange", "routing_key", "mandatory"}


class Unconfirmed(TimeoutError):
    """The broker is there and does not say that it took what it was given."""


def connection_errors(app: Celery) -> tuple[type[BaseException], ...]:
    """What is raised when the connection is lost or cannot be had."""
    return (OSError, OperationalError, *app.connection_for_write().recoverable_connection_errors)


def broker_errors(app: Celery) -> tuple[type[BaseException], ...]:
    """What is raised while the broker is away, or lacks what the topology promises."""
    return (*connection_errors(app), *app.connection_for_write().channel_errors)


def drop(connection: Connection) -> None:
    """Forget a connection without a farewell: a broker that does not answer would be waited for for ever."""
    connection.collect()


class Publisher:
    """One connection of the relay's own to the broker. Not for use by several threads."""

    def __init__(self, app: Celery, timeout: float) -> None:
        """
        Args:
            timeout: seconds a batch may take in all; a publish holds row locks (rule 21).
        """
        self.app = app
        self.timeout = timeout
        self.connection: Connection | None = None
        self.channel: Any = None
        self.confirms: Confirms | None = None

    def publish(self, messages: Sequence[dict[str, Any]]) -> set[int]:
        """Publish `messages` (`task`, `args`, `kwargs`, `options`) and return the indexes the broker took.

        Raises:
            Unconfirmed: the broker did not confirm them all in time.
            OSError, kombu and amqp errors: the connection failed; whatever was sent may come twice.
        """
        try:
            return self._publish(messages)
        except BaseException:
            self.close()
            raise

    def _publish(self, messages: Sequence[dict[str, Any]]) -> set[int]:
        until = time.monotonic() + self.timeout
        self.open()
        assert self.connection is not None
        ids: list[str] = []
        with wire.together(self.connection):
            for message in messages:
                ids.append(message["options"].get("task_id") or str(uuid4()))
                self.send(message, ids[-1])
        if self.confirms is None:
            return set(range(len(messages)))
        while len(self.confirms.settled) < len(messages):
            # A timeout of zero would mean none.
            try:
                self.connection.drain_events(timeout=max(0.001, until - time.monotonic()))
            except TimeoutError as error:
                if error.errno is None:
                    raise Unconfirmed(f"not all of {len(messages)} messages in time") from error
                raise  # ETIMEDOUT: the network's
        settled, returned = self.confirms.take(len(messages))
        taken = {i for i, good in enumerate(settled) if good and ids[i] not in returned}
        for i in set(range(len(messages))) - taken:
            reason = returned.get(ids[i], "not confirmed")
            log.error("the broker refused a message", task=messages[i]["task"], task_id=ids[i], reason=reason)
        if not all(settled):
            # Right after the death of a cluster's node a channel goes on refusing until it is closed.
            self.close()
        return taken

    def send(self, message: dict[str, Any], task_id: str) -> None:
        """Hand one message to the broker.

        What `Celery.send_task` and kombu's producer do besides, routing, declaring, looking up the codec, takes as
        long again, and every message here has its route. `sender` names the task whose outcome it is, for the log and
        failpoints.
        """
        options = message["options"]
        if sender := message.get("sender"):
            structlog.contextvars.bind_contextvars(task=sender)
        described = {name: value for name, value in options.items() if name not in HANDLED_HERE}
        built = self.app.amqp.create_task_message(
            task_id,
            message["task"],
            message["args"],
            message["kwargs"],
            errbacks=options.get("link_error"),
            **described,
        )
        assert self.channel is not None
        self.channel.basic_publish(
            self.channel.prepare_message(
                codec.encode(built.body),
                content_type=codec.CONTENT_TYPE,
                content_encoding=codec.CONTENT_ENCODING,
                # To Celery a header that says nothing is one that is not there; each costs both ends.
                headers={name: value for name, value in built.headers.items() if value is not None},
                properties={**built.properties, "delivery_mode": PERSISTENT_DELIVERY_MODE},
            ),
            exchange=options["exchange"],
            routing_key=options["routing_key"],
            mandatory=options.get("mandatory", False),
        )

    def open(self) -> None:
        """Connect and open a channel in confirm mode, unless that is done."""
        if self.connection is None:
            base = self.app.connection_for_write()
            # py-amqp's own confirm mode would wait for each message.
            options = {**(base.transport_options or {}), "confirm_publish": False}
            self.connection = base.clone(transport_options=options)
            self.connection.ensure_connection(max_retries=1, timeout=5)
        if self.channel is None:
            self.channel = self.connection.channel()
            if self.connection.transport.driver_type == "amqp":
                self.channel.confirm_select()
                self.confirms = Confirms(self.channel)
            else:
                # The file-based broker learns each exchange's type in every process anew.
                for queue in self.app.amqp.queues.values():
                    queue(self.channel).declare()

    def close(self) -> None:
        """Forget the connection; the next publish opens a new one."""
        connection = self.connection
        self.connection = self.channel = self.confirms = None
        if connection is not None:
            drop(connection)


class Confirms:
    """Collects acks, nacks and returned messages of one channel since its `confirm_select`."""

    def __init__(self, channel: Any) -> None:
        self.settled: dict[int, bool] = {}
        self.returned: dict[str, str] = {}
        self.next_tag = 1  # the lowest tag of the batch under way
        channel.events["basic_ack"].add(lambda tag, multiple: self.settle(tag, multiple, True))
        channel.events["basic_nack"].add(lambda tag, multiple: self.settle(tag, multiple, False))
        channel.events["basic_return"].add(self.note_return)

    def settle(self, tag: int, multiple: bool, good: bool) -> None:
        for each in range(self.next_tag if multiple else tag, tag + 1):
            self.settled.setdefault(each, good)

    def note_return(self, error: Exception, exchange: str, routing_key: str, message: Any) -> None:
        self.returned[message.properties["correlation_id"]] = (
            f"{error} (exchange {exchange!r}, key {routing_key!r})"
        )

    def take(self, count: int) -> tuple[list[bool], dict[str, str]]:
        """Return what became of the batch's `count` messages, in order, and begin the next batch."""
        settled = [self.settled[self.next_tag + i] for i in range(count)]
        returned, self.settled, self.returned = self.returned, {}, {}
        self.next_tag += count
        return settled, returned
