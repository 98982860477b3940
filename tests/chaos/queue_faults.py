"""Duplicates, delays and reorders waiting messages, as a faulty network or broker does. No message is lost."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Sequence
from typing import Any

import amqp
from kombu import Connection

from celery_config.broker.topology import events_queue, task_queues
from celery_config.common.services import SERVICES
from compose.local.stack import Stack

MESSAGES_AT_MOST = 20
CONSUME_SECONDS = 1.5
QUEUES = (*(queue for s in SERVICES for queue in task_queues(s)), events_queue("order"))


def disturb_queue(stack: Stack, how: str, chance: random.Random) -> int:
    """Take waiting messages out of a random queue and publish them again; return how many.

    Args:
        how: `duplicated`, `delayed` or `reordered`.
    """
    queue = chance.choice(QUEUES)
    with Connection(stack.broker_admin_url, transport_options={"confirm_publish": True}) as connection:
        messages = take_messages(connection, queue)
        if how == "delayed":
            time.sleep(chance.uniform(0.5, 4.0))
        if how == "reordered":
            chance.shuffle(messages)
        for message in messages:
            publish_again(connection.default_channel, queue, message, copies=2 if how == "duplicated" else 1)
    return len(messages)


def take_messages(connection: Connection, queue: str) -> list[Any]:
    """Take messages before the workers do, by a consumer with a higher priority; the workers leave none waiting."""
    messages: list[Any] = []
    channel = connection.default_channel
    channel.basic_qos(0, MESSAGES_AT_MOST, False)
    first = channel.basic_consume(queue, callback=messages.append, arguments={"x-priority": 10})
    end = time.monotonic() + CONSUME_SECONDS
    with contextlib.suppress(TimeoutError):
        while len(messages) < MESSAGES_AT_MOST and (left := end - time.monotonic()) > 0:
            connection.drain_events(timeout=left)
    channel.basic_cancel(first)
    return messages


def publish_again(channel: Any, queue: str, message: Any, copies: int) -> None:
    """Publish the copies with confirms, then acknowledge the original: a crash in between loses nothing."""
    body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
    for _ in range(copies):
        copy = amqp.Message(body, **remove_broker_headers(message.properties))
        channel.basic_publish(copy, exchange="", routing_key=queue)
    channel.basic_ack(message.delivery_tag)


def remove_broker_headers(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the properties without the broker's own headers: a copy must not have its count of deliveries."""
    headers: dict[str, Any] = dict(properties.get("application_headers") or {})
    kept: Sequence[str] = [name for name in headers if not name.startswith("x-")]
    return {**properties, "application_headers": {name: headers[name] for name in kept}}
