"""Channel of one route, in confirm mode: what was sent on it, and what became of each message.

RabbitMQ closes the channel of a message that it refuses for its exchange; that says nothing about the other channels.
"""

from __future__ import annotations

from typing import Any

from kombu import Connection

from celery_config.broker.outgoing_messages import PreparedMessage
from celery_config.common import codec


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
            self.channel.notes_close = True
            self.channel.events["basic_ack"].add(lambda tag, multiple: self.note_confirm(tag, multiple, True))
            self.channel.events["basic_nack"].add(
                lambda tag, multiple: self.note_confirm(tag, multiple, False)
            )
            self.channel.events["basic_return"].add(self.note_return)

    @property
    def waits(self) -> bool:
        """Whether something is not confirmed yet."""
        return self.confirms and not self.closed and len(self.settled) < len(self.ids)

    @property
    def closed(self) -> Exception | None:
        """Why the broker has closed it, if it has."""
        return self.channel.closed if self.confirms else None

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
