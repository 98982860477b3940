"""Publishing many messages with pipelined confirms: publish all, then wait once for the broker's word.

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

from celery_config.broker import transport
from celery_config.common import codec

log = structlog.get_logger(__name__)
# Options that say where a message goes; all others (retries, chain, argsrepr, …) become a part of it.
HANDLED_HERE = {"task_id", "link_error", "exchange", "routing_key", "mandatory"}
# What Celery takes for granted where a header is missing; each one that is sent costs both ends.
ASSUMED = {
    "retries": 0,
    "timelimit": [None, None],
    "ignore_result": False,
    "replaced_task_nesting": 0,
    "stamps": {},
}
Route = tuple[str, str]
PROBE_SECONDS = 5.0
LOOK_SECONDS = 0.001


def route(message: dict[str, Any]) -> Route:
    """Exchange and routing key."""
    return message["options"]["exchange"], message["options"]["routing_key"]


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
    """One connection to the broker. Not for use by several threads.

    Each route has a channel of its own: RabbitMQ's channel waits for a queue that has no leader, and whatever came
    behind on it would wait too. Such a route is remembered. Its messages are held back, at no cost to the others, until
    the broker confirms what was sent on it, or one message that is sent anew every `PROBE_SECONDS`.
    """

    def __init__(self, app: Celery, timeout: float) -> None:
        """
        Args:
            timeout: seconds a batch may take in all; a publish holds row locks (rule 21).
        """
        self.app = app
        self.timeout = timeout
        self.connection: Connection | None = None
        self.lanes: dict[Route, Lane] = {}
        self.stuck: set[Route] = set()
        self.probe_at = 0.0

    def publish(self, messages: Sequence[dict[str, Any]]) -> set[int]:
        """Publish `messages` (`task`, `args`, `kwargs`, `options`) and return the indexes the broker took.

        One that cannot be sent, is refused, or has a route that confirms nothing holds up no other.

        Raises:
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
        lanes = {where: self.lane(where) for where in dict.fromkeys(map(route, messages))}
        sent: dict[Route, list[int]] = {}
        with transport.hold_writes(self.connection):
            for index, message in enumerate(messages):
                where = route(message)
                lane = lanes[where]
                if lane and self.send(lane, message):
                    sent.setdefault(where, []).append(index)
                    if where in self.stuck:
                        lanes[where] = None  # one is enough to see whether it is confirmed
        waited_for = [self.lanes[where] for where in sent if where not in self.stuck]
        while any(lane.waits for lane in waited_for):
            if not transport.drain_one(self.connection, until - time.monotonic()):
                break
        taken: set[int] = set()
        for where, indexes in sent.items():
            taken |= self.taken(where, indexes, messages)
        if any(lane.refused for lane in waited_for):
            # Right after the death of a cluster's node a channel goes on refusing until it is closed.
            self.close()
        return taken

    def taken(self, where: Route, indexes: Sequence[int], messages: Sequence[dict[str, Any]]) -> set[int]:
        """Which of the messages that were sent on a route the broker took."""
        lane = self.lanes[where]
        if where not in self.stuck and lane.waits:
            log.error("a queue confirms nothing", route=where, messages=len(indexes))
            self.stuck.add(where)
            self.probe_at = time.monotonic() + PROBE_SECONDS
        if where in self.stuck:
            return set()
        found = set()
        for index, fault in zip(indexes, lane.outcomes(), strict=True):
            if fault:
                log.error("the broker refused a message", task=messages[index]["task"], reason=fault)
            else:
                found.add(index)
        return found

    def lane(self, where: Route) -> Lane | None:
        """The channel of a route; None while nothing is sent on it."""
        lane = self.lanes.get(where)
        if lane and where in self.stuck:
            if lane.waits:
                return None
            log.warning("a queue confirms again", route=where)
            self.stuck.discard(where)
            lane.outcomes()
        if lane is None:
            assert self.connection is not None
            lane = self.lanes[where] = Lane(self.connection)
        return lane

    def send(self, lane: Lane, message: dict[str, Any]) -> bool:
        """Hand one message to the broker; False, if it cannot be sent at all.

        What `Celery.send_task` and kombu's producer do besides, routing, declaring, looking up the codec, takes as
        long again, and every message here has its route. `sender` names the task whose outcome it is, for the log and
        failpoints.
        """
        options = message["options"]
        if sender := message.get("sender"):
            structlog.contextvars.bind_contextvars(task=sender)
        described = {name: value for name, value in options.items() if name not in HANDLED_HERE}
        task_id = options.get("task_id") or str(uuid4())
        try:
            built = self.app.amqp.create_task_message(
                task_id,
                message["task"],
                message["args"],
                message["kwargs"],
                errbacks=options.get("link_error"),
                **described,
            )
            body = codec.encode(built.body)
            lane.send(body, built, task_id, *route(message), mandatory=options.get("mandatory", False))
        except connection_errors(self.app):
            raise
        except Exception:  # before anything of it was written; the others are not to blame
            log.exception("a message cannot be sent", task=message["task"], task_id=task_id)
            return False
        return True

    def open(self) -> None:
        """Connect, unless that is done; and anew every `PROBE_SECONDS` while a route confirms nothing.

        A channel that waits cannot be closed: its broker would have to answer.
        """
        if self.connection is not None and self.stuck:
            while transport.drain_one(self.connection, LOOK_SECONDS):  # perhaps it has confirmed meanwhile
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
                # The file-based broker learns each exchange's type in every process anew.
                for queue in self.app.amqp.queues.values():
                    queue(self.connection.default_channel).declare()

    def close(self) -> None:
        """Forget the connection; the next publish opens a new one."""
        connection, self.connection = self.connection, None
        self.lanes.clear()
        if connection is not None:
            drop(connection)


class Lane:
    """A channel in confirm mode: what was sent on it since `outcomes` was asked last, and what became of that."""

    def __init__(self, connection: Connection) -> None:
        self.ids: list[str] = []
        self.settled: dict[int, bool] = {}
        self.returned: dict[str, str] = {}
        self.first_tag = 1
        self.refused = False
        """Whether the broker ever said no; that of a queue that has died it goes on saying."""
        self.confirms = connection.transport.driver_type == "amqp"
        self.channel = connection.channel() if self.confirms else connection.default_channel
        if self.confirms:
            self.channel.confirm_select()
            self.channel.events["basic_ack"].add(lambda tag, multiple: self.settle(tag, multiple, True))
            self.channel.events["basic_nack"].add(lambda tag, multiple: self.settle(tag, multiple, False))
            self.channel.events["basic_return"].add(self.note_return)

    @property
    def waits(self) -> bool:
        """Whether something was not confirmed yet."""
        return self.confirms and len(self.settled) < len(self.ids)

    def send(
        self, body: str, built: Any, task_id: str, exchange: str, routing_key: str, *, mandatory: bool
    ) -> None:
        self.channel.basic_publish(
            self.channel.prepare_message(
                body,
                content_type=codec.CONTENT_TYPE,
                content_encoding=codec.CONTENT_ENCODING,
                headers={n: value for n, value in built.headers.items() if value != ASSUMED.get(n)},
                properties={**built.properties, "delivery_mode": PERSISTENT_DELIVERY_MODE},
            ),
            exchange=exchange,
            routing_key=routing_key,
            mandatory=mandatory,
        )
        self.ids.append(task_id)

    def settle(self, tag: int, multiple: bool, good: bool) -> None:
        self.refused |= not good
        for each in range(self.first_tag if multiple else tag, tag + 1):
            self.settled.setdefault(each, good)

    def note_return(self, error: Exception, exchange: str, routing_key: str, message: Any) -> None:
        self.returned[message.properties["correlation_id"]] = (
            f"{error} (exchange {exchange!r}, key {routing_key!r})"
        )

    def outcomes(self) -> list[str]:
        """What was wrong with each message, in order, and empty where nothing was; the next batch begins."""
        ids, returned, settled = self.ids, self.returned, self.settled
        tags = range(self.first_tag, self.first_tag + len(ids))
        self.ids, self.returned, self.settled, self.first_tag = [], {}, {}, tags.stop
        return [
            returned.get(each, "" if not self.confirms or settled[tag] else "not confirmed")
            for tag, each in zip(tags, ids, strict=True)
        ]
