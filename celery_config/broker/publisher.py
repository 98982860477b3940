"""Publisher with pipelined confirms: it publishes many messages, then waits once, and knows which the broker took.

Relays and workers publish this way.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from amqp import exceptions as amqp
from celery import Celery
from kombu import Connection
from kombu.exceptions import OperationalError

from celery_config.broker import transport
from celery_config.broker.outgoing_messages import (
    WRITE_ERRORS,
    PreparedMessage,
    describe_fault,
    prepare_message,
)
from celery_config.broker.route_channel import RouteChannel

log = structlog.get_logger(__name__)
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


def connection_errors(app: Celery) -> tuple[type[BaseException], ...]:
    """The errors of a connection that is lost or cannot be opened."""
    return (OSError, OperationalError, *app.connection_for_write().recoverable_connection_errors)


def broker_errors(app: Celery) -> tuple[type[BaseException], ...]:
    """The errors of a broker that is away, refuses us, or lacks an exchange or queue of the topology."""
    return (*connection_errors(app), amqp.AMQPError, *app.connection_for_write().channel_errors)


def drop_connection(connection: Connection) -> None:
    """Forget a connection without closing it properly, for which a silent broker would have to be waited for."""
    connection.collect()


class Publisher:
    """One connection to the broker. Not for use by several threads.

    Each route has a channel of its own: RabbitMQ's channel waits for a queue that has no leader, and later messages on
    that channel wait, too. A route that confirms nothing is remembered as stuck, one that returns or refuses a message
    as refused. Their messages are held back, at no cost to the others, until the broker confirms what was sent there,
    or one probing message, which is sent every `PROBE_SECONDS`.

    A message because of which the broker closes the channel or the connection is found by halves. If the broker
    closes a channel for any other reason, such as a missing exchange or a right that we lack, it refuses that route.
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
        return self.publish_prepared(self.prepare_all(messages))

    def publish_prepared(self, prepared: Mapping[int, PreparedMessage]) -> set[int]:
        """Publish like `publish`, which see for errors, what is prepared already."""
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
                prepared[index] = prepare_message(self.app, message)
            except Exception as error:  # nothing is written yet: it is this message's own
                self.note_fault(index, error, task=message.get("task"))
        return prepared

    def note_fault(self, index: int, error: Exception, **about: Any) -> None:
        self.faults[index] = describe_fault(error)
        log.error("a message cannot be sent", **about, exc_info=error)

    def _publish(self, prepared: Mapping[int, PreparedMessage]) -> set[int]:
        until = time.monotonic() + self.timeout
        taken: set[int] = set()
        self.look()
        if probing := self.probe_is_due:
            self.probe_at = time.monotonic() + PROBE_SECONDS
            if self.stuck:
                self.close()  # a channel that waits cannot be closed by itself: the broker would answer on it
        parts: list[Sequence[int]] = [list(prepared)]
        while parts:
            part = parts.pop()
            try:
                took, refused = self.publish_part(prepared, part, probing=probing)
            except MESSAGE_ERRORS as error:
                self.close()
                took, refused = set(), [(part, error)]
            taken |= took
            for indexes, cause in refused:
                parts += self.halve(prepared, indexes, cause)
            if time.monotonic() > until:
                break  # the rest stays for the next call
        return taken

    def halve(
        self, prepared: Mapping[int, PreparedMessage], part: Sequence[int], error: Exception
    ) -> list[Sequence[int]]:
        """Return the halves of what holds a message that the broker refuses; none if it is that message."""
        middle = len(part) // 2
        if middle:
            return [part[middle:], part[:middle]]
        for index in part:
            self.note_fault(index, error, task=prepared[index].task, task_id=prepared[index].id)
        return []

    def publish_part(
        self, prepared: Mapping[int, PreparedMessage], part: Sequence[int], *, probing: bool
    ) -> tuple[set[int], list[tuple[Sequence[int], Exception]]]:
        """Publish a part; return what the broker took, and what it closed a channel for because of some message."""
        until = time.monotonic() + self.timeout
        self.open()
        if self.blocked:
            return set(), []
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
        refused: list[tuple[Sequence[int], Exception]] = []
        for where, indexes in sent.items():
            error = channels[where].closed
            if isinstance(error, MESSAGE_ERRORS):
                self.leave_channel(where)
                refused.append((indexes, error))
            else:
                taken |= self.collect_taken(where, indexes, prepared)
        return taken, refused

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
        if channel.closed:
            self.refuse_route(where)
            return set()
        taken = set()
        for index, fault in zip(indexes, channel.collect_faults(), strict=True):
            if fault:
                log.error("the broker refused a message", task=prepared[index].task, reason=fault)
            else:
                taken.add(index)
        if channel.refused:
            # Right after the death of a cluster's node a channel continues to refuse until it is closed.
            self.leave_channel(where)
        if len(taken) == len(indexes):
            self.release(where)
        else:
            self.hold(self.refused, where)
        return taken

    def refuse_route(self, where: str) -> None:
        """Hold back a route whose channel the broker has closed; the others have theirs."""
        log.error("the broker refuses a route", route=where, error=repr(self.channels[where].closed))
        self.leave_channel(where)
        self.hold(self.refused, where)

    def leave_channel(self, where: str) -> None:
        """Let the next message of a route have another channel. None may be left that waits for a queue."""
        self.channels.pop(where).channel.leave()

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
        if where in self.channels and self.channels[where].closed:
            self.leave_channel(where)
        if where not in self.channels:
            assert self.connection is not None
            self.channels[where] = RouteChannel(self.connection)
        return self.channels[where]

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
            if channel is None or channel.waits:
                continue
            if channel.closed:
                self.refuse_route(where)
            elif any(channel.collect_faults()):
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
