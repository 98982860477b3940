"""Duplicates, delays and reorders what waits in a queue, as a network and a broker in trouble do."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Sequence
from typing import Any

import amqp
from kombu import Connection

from celery_config.broker.topology import commands_queue, events_queue
from celery_config.common.services import SERVICES
from compose.local.stack import Stack

TAKEN = 20
LISTENS_SECONDS = 1.5
QUEUES = (*(commands_queue(s) for s in SERVICES), events_queue("order"))


def meddle(stack: Stack, how: str, chance: random.Random) -> int:
    """Take waiting messages out of one queue and put them back changed; return how many were taken.

    Args:
        how: `duplicated`, `delayed` or `reordered`.
    """
    queue = chance.choice(QUEUES)
    with Connection(stack.broker_admin_url, transport_options={"confirm_publish": True}) as connection:
        messages = take(connection, queue)
        if how == "delayed":
            time.sleep(chance.uniform(0.5, 4.0))
        if how == "reordered":
            chance.shuffle(messages)
        for message in messages:
            put_back(connection.default_channel, queue, message, copies=2 if how == "duplicated" else 1)
    return len(messages)


def take(connection: Connection, queue: str) -> list[Any]:
    """Come before the workers, who leave nothing lying in a queue, until enough is caught."""
    messages: list[Any] = []
    channel = connection.default_channel
    channel.basic_qos(0, TAKEN, False)
    first = channel.basic_consume(queue, callback=messages.append, arguments={"x-priority": 10})
    end = time.monotonic() + LISTENS_SECONDS
    with contextlib.suppress(TimeoutError):
        while len(messages) < TAKEN and (left := end - time.monotonic()) > 0:
            connection.drain_events(timeout=left)
    channel.basic_cancel(first)
    return messages


def put_back(channel: Any, queue: str, message: Any, copies: int) -> None:
    """The copies first, confirmed, then the original away: a crash in between duplicates, and loses nothing."""
    body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
    for _ in range(copies):
        copy = amqp.Message(body, **without_counts(message.properties))
        channel.basic_publish(copy, exchange="", routing_key=queue)
    channel.basic_ack(message.delivery_tag)


def without_counts(properties: dict[str, Any]) -> dict[str, Any]:
    """The broker's own count of deliveries does not travel with a copy."""
    headers: dict[str, Any] = dict(properties.get("application_headers") or {})
    kept: Sequence[str] = [name for name in headers if not name.startswith("x-")]
    return {**properties, "application_headers": {name: headers[name] for name in kept}}
