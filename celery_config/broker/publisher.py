"""Publisher with pipelined confirms: it publishes many messages, then waits once, and knows which the broker took.

Relays and workers publish this way.
"""

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

from celery_config.broker import topology, transport
from celery_config.common import codec

log = structlog.get_logger(__name__)
# Options that say where a message goes; all others (retries, chain, argsrepr, …) become a part of it.
ROUTING_OPTIONS = {"task_id", "link_error", "exchange", "routing_key", "mandatory"}
# Celery's defaults for missing headers; each header that is sent costs both ends.
CELERY_DEFAULTS = {
    "retries": 0,
    "timelimit": [None, None],
    "ignore_result": False,
    "replaced_task_nesting": 0,
    "stamps": {},
}
Route = tuple[str, str]
"""An exchange, and what stands for the queues behind it."""
PROBE_SECONDS = 5.0
LOOK_SECONDS = 0.001


def route(message: dict[str, Any]) -> Route:
    """Tasks that go to one queue have one route, whatever their keys."""
    exchange = message["options"]["exchange"]
    return exchange, topology.find_target(exchange, message["options"]["routing_key"])


def connection_errors(app: Celery) -> tuple[type[BaseException], ...]:
    """The errors of a connection that is lost or cannot be opened."""
    return (OSError, OperationalError, *app.connection_for_write().recoverable_connection_errors)


def broker_errors(app: Celery) -> tuple[type[BaseException], ...]:
    """The errors of a broker that is away, or lacks an exchange or queue of the topology."""
    return (*connection_errors(app), *app.connection_for_write().channel_errors)


def drop_connection(connection: Connection) -> None:
    """Forget a connection without closing it properly, which would wait without limit for a silent broker."""
    connection.collect()


class Publisher:
    """One connection to the broker. Not for use by several threads.

    Each route has a channel of its own: RabbitMQ's channel waits for a queue that has no leader, and later messages on
    that channel wait, too. Such a route is remembered as stuck. Its messages are held back, at no cost to the others,
    until the broker confirms what was sent on it, or one probing message, which is sent every `PROBE_SECONDS`.
    """

    def __init__(self, app: Celery, timeout: float) -> None:
        """
        Args:
            timeout: seconds for a whole batch; a publish holds row locks (rule 21, events).
        """
        self.app = app
        self.timeout = timeout
        self.connection: Connection | None = None
        self.channels: dict[Route, RouteChannel] = {}
        self.stuck: set[Route] = set()
        self.probe_at = 0.0

    def publish(self, messages: Sequence[dict[str, Any]]) -> set[int]:
        """Publish `messages` (`task`, `args`, `kwargs`, `options`) and return the indexes of those the broker took.

        A message that cannot be sent, is refused, or has a stuck route does not delay the others.

        Raises:
            OSError, kombu and amqp errors: the connection failed; what was sent may arrive twice.
        """
        try:
            return self._publish(messages)
        except BaseException:
            self.close()
            raise

    def _publish(self, messages: Sequence[dict[str, Any]]) -> set[int]:
        until = time.monotonic() + self.timeout
        self.open()
        channels = {where: self.find_channel(where) for where in dict.fromkeys(map(route, messages))}
        sent: dict[Route, list[int]] = {}
        with transport.hold_writes(self.connection):
            for index, message in enumerate(messages):
                where = route(message)
                channel = channels[where]
                if channel and self.send(channel, message):
                    sent.setdefault(where, []).append(index)
                    if where in self.stuck:
                        channels[where] = None  # one message is enough to probe the route
        waited_for = [self.channels[where] for where in sent if where not in self.stuck]
        while any(channel.waits for channel in waited_for):
            if not transport.drain_one(self.connection, until - time.monotonic()):
                break
        taken: set[int] = set()
        for where, indexes in sent.items():
            taken |= self.collect_taken(where, indexes, messages)
        if any(channel.refused for channel in waited_for):
            # Right after the death of a cluster's node a channel continues to refuse until it is closed.
            self.close()
        return taken

    def collect_taken(
        self, where: Route, indexes: Sequence[int], messages: Sequence[dict[str, Any]]
    ) -> set[int]:
        """Return which of the messages that were sent on a route the broker took."""
        channel = self.channels[where]
        if where not in self.stuck and channel.waits:
            log.error("a queue confirms nothing", route=where, messages=len(indexes))
            self.stuck.add(where)
            self.probe_at = time.monotonic() + PROBE_SECONDS
        if where in self.stuck:
            return set()
        taken = set()
        for index, fault in zip(indexes, channel.collect_faults(), strict=True):
            if fault:
                log.error("the broker refused a message", task=messages[index]["task"], reason=fault)
            else:
                taken.add(index)
        return taken

    def find_channel(self, where: Route) -> RouteChannel | None:
        """Return the channel of a route; None while the route is stuck."""
        channel = self.channels.get(where)
        if channel and where in self.stuck:
            if channel.waits:
                return None
            log.warning("a queue confirms again", route=where)
            self.stuck.discard(where)
            channel.collect_faults()
        if channel is None:
            assert self.connection is not None
            channel = self.channels[where] = RouteChannel(self.connection)
        return channel

    def send(self, channel: RouteChannel, message: dict[str, Any]) -> bool:
        """Write one message to the broker; return False if it cannot be sent at all.

        `Celery.send_task` and kombu's producer also route, declare and look up the codec, which takes as much time
        again; every message here has its route. `sender` names the task whose outcome it is, for the log and the
        failpoints.
        """
        options = message["options"]
        if sender := message.get("sender"):
            structlog.contextvars.bind_contextvars(task=sender)
        properties = {name: value for name, value in options.items() if name not in ROUTING_OPTIONS}
        task_id = options.get("task_id") or str(uuid4())
        try:
            built = self.app.amqp.create_task_message(
                task_id,
                message["task"],
                message["args"],
                message["kwargs"],
                errbacks=options.get("link_error"),
                **properties,
            )
            body = codec.encode(built.body)
            channel.send(
                body,
                built,
                task_id,
                options["exchange"],
                options["routing_key"],
                mandatory=options.get("mandatory", False),
            )
        except connection_errors(self.app):
            raise
        except Exception:  # nothing of this message was written, so the others can go on
            log.exception("a message cannot be sent", task=message["task"], task_id=task_id)
            return False
        return True

    def open(self) -> None:
        """Connect, if there is no connection; and again every `PROBE_SECONDS` while a route is stuck.

        A channel that waits cannot be closed by itself: the broker would have to answer on it.
        """
        if self.connection is not None and self.stuck:
            while transport.drain_one(self.connection, LOOK_SECONDS):  # it may have confirmed by now
                pass
            if time.monotonic() >= self.probe_at:
                self.close()
        if self.connection is None:
            base = self.app.connection_for_write()
            # py-amqp's own confirm mode would wait for each message.
            options = {**(base.transport_options or {}), "confirm_publish": False}
            self.connection = base.clone(transport_options=options)
            self.connection.ensure_connection(max_retries=1, timeout=5)
            self.probe_at = time.monotonic() + PROBE_SECONDS
            if self.connection.transport.driver_type != "amqp":
                # The file-based broker learns the exchanges' types in each process.
                for queue in self.app.amqp.queues.values():
                    queue(self.connection.default_channel).declare()

    def close(self) -> None:
        """Forget the connection; the next publish opens a new one."""
        connection, self.connection = self.connection, None
        self.channels.clear()
        if connection is not None:
            drop_connection(connection)


class RouteChannel:
    """A channel in confirm mode: what was sent on it since the last `collect_faults`, and what became of it."""

    def __init__(self, connection: Connection) -> None:
        self.ids: list[str] = []
        self.settled: dict[int, bool] = {}
        self.returned: dict[str, str] = {}
        self.first_tag = 1
        self.refused = False
        """Whether the broker has refused anything; for a queue that has died it continues to."""
        self.confirms = connection.transport.driver_type == "amqp"
        self.channel = connection.channel() if self.confirms else connection.default_channel
        if self.confirms:
            self.channel.confirm_select()
            self.channel.events["basic_ack"].add(lambda tag, multiple: self.note_confirm(tag, multiple, True))
            self.channel.events["basic_nack"].add(
                lambda tag, multiple: self.note_confirm(tag, multiple, False)
            )
            self.channel.events["basic_return"].add(self.note_return)

    @property
    def waits(self) -> bool:
        """Whether something is not confirmed yet."""
        return self.confirms and len(self.settled) < len(self.ids)

    def send(
        self, body: str, built: Any, task_id: str, exchange: str, routing_key: str, *, mandatory: bool
    ) -> None:
        self.channel.basic_publish(
            self.channel.prepare_message(
                body,
                content_type=codec.CONTENT_TYPE,
                content_encoding=codec.CONTENT_ENCODING,
                headers={n: value for n, value in built.headers.items() if value != CELERY_DEFAULTS.get(n)},
                properties={**built.properties, "delivery_mode": PERSISTENT_DELIVERY_MODE},
            ),
            exchange=exchange,
            routing_key=routing_key,
            mandatory=mandatory,
        )
        self.ids.append(task_id)

    def note_confirm(self, tag: int, multiple: bool, accepted: bool) -> None:
        self.refused |= not accepted
        for each in range(self.first_tag if multiple else tag, tag + 1):
            self.settled.setdefault(each, accepted)

    def note_return(self, error: Exception, exchange: str, routing_key: str, message: Any) -> None:
        self.returned[message.properties["correlation_id"]] = (
            f"{error} (exchange {exchange!r}, key {routing_key!r})"
        )

    def collect_faults(self) -> list[str]:
        """Return the fault of each message in order, empty for those the broker took, and begin the next batch."""
        ids, returned, settled = self.ids, self.returned, self.settled
        tags = range(self.first_tag, self.first_tag + len(ids))
        self.ids, self.returned, self.settled, self.first_tag = [], {}, {}, tags.stop
        return [
            returned.get(each, "" if not self.confirms or settled[tag] else "not confirmed")
            for tag, each in zip(tags, ids, strict=True)
        ]
