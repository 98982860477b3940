"""Publisher with pipelined confirms: it publishes many messages, then waits once, and knows which the broker took.

Relays and workers publish this way.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import structlog
from amqp import exceptions as amqp
from celery import Celery
from kombu import Connection
from kombu.entity import PERSISTENT_DELIVERY_MODE
from kombu.exceptions import OperationalError

from celery_config.broker import transport
from celery_config.broker.routes import find_route
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
PROBE_SECONDS = 5.0
LOOK_SECONDS = 0.001
BLOCKED_SECONDS = 1.0
"""How long the confirms of what was sent are awaited from a broker that has stopped reading."""
# Errors that the broker raises because of what a message is: it fits into no frame, or breaks a limit or a rule.
MESSAGE_ERRORS = (
    amqp.FrameError,
    amqp.FrameSyntaxError,
    amqp.UnexpectedFrame,
    amqp.ContentTooLarge,
    amqp.PreconditionFailed,
)
# Errors that it raises because of where a message goes: there is no such exchange, or no right to it.
ROUTE_ERRORS = (amqp.AccessRefused, amqp.NotFound)
# py-amqp's when it writes what AMQP cannot hold; nothing of the message is sent then.
WRITE_ERRORS = (struct.error, TypeError, ValueError, OverflowError, RecursionError)


def connection_errors(app: Celery) -> tuple[type[BaseException], ...]:
    """The errors of a connection that is lost or cannot be opened."""
    return (OSError, OperationalError, *app.connection_for_write().recoverable_connection_errors)


def broker_errors(app: Celery) -> tuple[type[BaseException], ...]:
    """The errors of a broker that is away, refuses us, or lacks an exchange or queue of the topology."""
    return (*connection_errors(app), amqp.AMQPError, *app.connection_for_write().channel_errors)


def drop_connection(connection: Connection) -> None:
    """Forget a connection without closing it properly, for which a silent broker would have to be waited for."""
    connection.collect()


@dataclass(frozen=True)
class PreparedMessage:
    """A message as it is written to the broker."""

    route: str
    task: str
    id: str
    body: str
    headers: dict[str, Any]
    properties: dict[str, Any]
    exchange: str
    routing_key: str
    mandatory: bool


class Publisher:
    """One connection to the broker. Not for use by several threads.

    Each route has a channel of its own: RabbitMQ's channel waits for a queue that has no leader, and later messages on
    that channel wait, too. A route that confirms nothing is remembered as stuck, one that returns or refuses a message
    as refused. Their messages are held back, at no cost to the others, until the broker confirms what was sent there,
    or one probing message, which is sent every `PROBE_SECONDS`.

    A message because of which the broker closes the channel or the connection is found by halves.
    """

    def __init__(self, app: Celery, timeout: float) -> None:
        """
        Args:
            timeout: seconds for a whole batch; a publish holds row locks (rule 21, events).
        """
        self.app = app
        self.timeout = timeout
        self.connection: Connection | None = None
        self.channels: dict[str, RouteChannel] = {}
        self.stuck: set[str] = set()
        self.refused: set[str] = set()
        self.probe_at = 0.0
        self.faults: dict[int, str] = {}
        """Why messages of the last call can never be sent, by their indexes."""

    @property
    def held(self) -> set[str]:
        """The routes whose messages are held back."""
        return self.stuck | self.refused

    @property
    def blocked(self) -> bool:
        """Whether the broker has said that it takes nothing from here: it has a resource alarm."""
        raw = self.connection._connection if self.connection is not None else None
        return getattr(raw, "blocked", False)

    @property
    def probe_is_due(self) -> bool:
        """Whether the next call sends one message to each route that is held."""
        return bool(self.stuck or self.refused) and not self.blocked and time.monotonic() >= self.probe_at

    def publish(self, messages: Sequence[dict[str, Any]]) -> set[int]:
        """Publish `messages` (`task`, `args`, `kwargs`, `options`) and return the indexes of those the broker took.

        A message that cannot be sent, is refused, or whose route is held, does not delay the others. `faults` has those
        that no further try would send.

        Raises:
            OSError, kombu and amqp errors: the connection failed; what was sent may arrive twice.
        """
        prepared = self.prepare_all(messages)
        try:
            return self._publish(prepared)
        except BaseException:
            self.close()
            raise

    def prepare_all(self, messages: Sequence[dict[str, Any]]) -> dict[int, PreparedMessage]:
        self.faults = {}
        prepared: dict[int, PreparedMessage] = {}
        for index, message in enumerate(messages):
            try:
                prepared[index] = self.prepare(message)
            except Exception as error:  # nothing is written yet: it is this message's own
                self.note_fault(index, error, task=message.get("task"))
        return prepared

    def prepare(self, message: dict[str, Any]) -> PreparedMessage:
        """Build one message as it is written.

        `Celery.send_task` and kombu's producer also route, declare and look up the codec, which takes as much time
        again; every message here has its route. `sender` names the task whose outcome it is, for the log and the
        failpoints.
        """
        options = message["options"]
        if sender := message.get("sender"):
            structlog.contextvars.bind_contextvars(task=sender)
        properties = {name: value for name, value in options.items() if name not in ROUTING_OPTIONS}
        task_id = options.get("task_id") or str(uuid4())
        built = self.app.amqp.create_task_message(
            task_id,
            message["task"],
            message["args"],
            message["kwargs"],
            errbacks=options.get("link_error"),
            **properties,
        )
        return PreparedMessage(
            route=find_route(message),
            task=message["task"],
            id=task_id,
            body=codec.encode(built.body),
            headers={n: value for n, value in built.headers.items() if value != CELERY_DEFAULTS.get(n)},
            properties={**built.properties, "delivery_mode": PERSISTENT_DELIVERY_MODE},
            exchange=options["exchange"],
            routing_key=options["routing_key"],
            mandatory=options.get("mandatory", False),
        )

    def note_fault(self, index: int, error: Exception, **about: Any) -> None:
        self.faults[index] = repr(error)
        log.error("a message cannot be sent", **about, exc_info=error)

    def _publish(self, prepared: Mapping[int, PreparedMessage]) -> set[int]:
        until = time.monotonic() + self.timeout
        taken: set[int] = set()
        self.look()
        if probing := self.probe_is_due:
            self.probe_at = time.monotonic() + PROBE_SECONDS
            if self.stuck:
                self.close()  # a channel that waits cannot be closed by itself: the broker would answer on it
        parts = [list(prepared)]
        while parts:
            part = parts.pop()
            try:
                taken |= self.publish_part(prepared, part, probing=probing)
            except MESSAGE_ERRORS as error:
                self.close()
                middle = len(part) // 2
                if middle:
                    parts += [part[middle:], part[:middle]]
                elif part:
                    self.note_fault(part[0], error, task=prepared[part[0]].task, task_id=prepared[part[0]].id)
            except ROUTE_ERRORS as error:
                closed = [
                    where for where, channel in self.channels.items() if channel.channel.closed_by_broker
                ]
                self.close()
                if not closed:
                    raise
                for where in closed:
                    log.error("the broker refuses a route", route=where, error=repr(error))
                    self.hold(self.refused, where)
                parts.append(part)
                probing = False
            if time.monotonic() > until:
                break  # the rest stays for the next call
        return taken

    def publish_part(
        self, prepared: Mapping[int, PreparedMessage], part: Sequence[int], *, probing: bool
    ) -> set[int]:
        until = time.monotonic() + self.timeout
        self.open()
        if self.blocked:
            return set()
        held = self.held
        wanted = dict.fromkeys(prepared[index].route for index in part)
        channels = {where: self.find_channel(where) for where in wanted if probing or where not in held}
        sent: dict[str, list[int]] = {}
        with transport.hold_writes(self.connection):
            for index in part:
                where = prepared[index].route
                if where not in channels or (where in held and where in sent):
                    continue  # one message is enough to probe a route
                if self.write(channels[where], index, prepared[index]):
                    sent.setdefault(where, []).append(index)
        waited_for = [channels[where] for where in sent if where not in self.stuck]
        while any(channel.waits for channel in waited_for):
            if not transport.drain_one(self.connection, until - time.monotonic()):
                break
            if self.blocked:
                until = min(until, time.monotonic() + BLOCKED_SECONDS)
        taken: set[int] = set()
        for where, indexes in sent.items():
            taken |= self.collect_taken(where, indexes, prepared)
        if any(channel.refused for channel in waited_for):
            # Right after the death of a cluster's node a channel continues to refuse until it is closed.
            self.close()
        return taken

    def collect_taken(
        self, where: str, indexes: Sequence[int], prepared: Mapping[int, PreparedMessage]
    ) -> set[int]:
        """Return which of the messages that were sent on a route the broker took."""
        channel = self.channels[where]
        if channel.waits:
            if where not in self.stuck:
                log.error("a queue confirms nothing", route=where, messages=len(indexes))
                self.hold(self.stuck, where)
            return set()
        taken = set()
        for index, fault in zip(indexes, channel.collect_faults(), strict=True):
            if fault:
                log.error("the broker refused a message", task=prepared[index].task, reason=fault)
            else:
                taken.add(index)
        if len(taken) == len(indexes):
            self.release(where)
        else:
            self.hold(self.refused, where)
        return taken

    def hold(self, kind: set[str], where: str) -> None:
        """Hold back a route's messages."""
        if not self.held:
            self.probe_at = time.monotonic() + PROBE_SECONDS
        self.release(where, silently=True)
        kind.add(where)

    def release(self, where: str, *, silently: bool = False) -> None:
        if where in self.held:
            self.stuck.discard(where)
            self.refused.discard(where)
            if not silently:
                log.warning("a queue takes messages again", route=where)

    def find_channel(self, where: str) -> RouteChannel:
        channel = self.channels.get(where)
        if channel is None:
            assert self.connection is not None
            channel = self.channels[where] = RouteChannel(self.connection)
        return channel

    def write(self, channel: RouteChannel, index: int, message: PreparedMessage) -> bool:
        """Write one message to the broker; return False if it cannot be written."""
        try:
            channel.send(message)
        except (*WRITE_ERRORS, amqp.FrameSyntaxError) as error:
            if isinstance(error, amqp.FrameSyntaxError) and not channel.is_connected():
                raise  # it is the broker's, and about a message before this one
            self.note_fault(index, error, task=message.task, task_id=message.id)
            return False
        return True

    def look(self) -> None:
        """Read what the broker has said by now, and release the routes that have confirmed all.

        Raises:
            OSError, kombu and amqp errors: the connection failed.
        """
        if self.connection is None or not (self.stuck or self.blocked):
            return
        while transport.drain_one(self.connection, LOOK_SECONDS):
            pass
        for where in [*self.stuck]:
            channel = self.channels.get(where)
            if channel and not channel.waits:
                if any(channel.collect_faults()):
                    self.hold(self.refused, where)
                else:
                    self.release(where)

    def open(self) -> None:
        """Connect, if there is no connection."""
        if self.connection is not None:
            return
        base = self.app.connection_for_write()
        # py-amqp's own confirm mode would wait for each message.
        options = {**(base.transport_options or {}), "confirm_publish": False}
        self.connection = base.clone(transport_options=options)
        transport.connect(self.connection)
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

    def is_connected(self) -> bool:
        return self.channel.connection is not None and bool(self.channel.connection.connected)

    def send(self, message: PreparedMessage) -> None:
        self.channel.basic_publish(
            self.channel.prepare_message(
                message.body,
                content_type=codec.CONTENT_TYPE,
                content_encoding=codec.CONTENT_ENCODING,
                headers=message.headers,
                properties=message.properties,
            ),
            exchange=message.exchange,
            routing_key=message.routing_key,
            mandatory=message.mandatory,
        )
        self.ids.append(message.id)

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
