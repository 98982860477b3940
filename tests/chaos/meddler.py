"""Duplicates, delays and reorders what waits in a queue, as a network and a broker in trouble do."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

import amqp
from kombu import Connection

from celery_config.topology import commands_queue, events_queue
from compose.local.stack import Stack

TAKEN = 20
LOOKS = 40
LOOK_SECONDS = 0.05
QUEUES = (*(commands_queue(s) for s in ("order", "payment", "inventory", "shipment")), events_queue("order"))


def meddle(stack: Stack, how: str, chance: random.Random) -> int:
    """Take waiting messages out of one queue and put them back changed; return how many were taken.

    Args:
        how: `duplicated`, `delayed` or `reordered`.
    """
    queue = chance.choice(QUEUES)
    with Connection(stack.broker_admin_url, transport_options={"confirm_publish": True}) as connection:
        channel = connection.default_channel
        messages = take(channel, queue)
        if how == "delayed":
            time.sleep(chance.uniform(0.5, 4.0))
        if how == "reordered":
            chance.shuffle(messages)
        for message in messages:
            put_back(channel, queue, message, copies=2 if how == "duplicated" else 1)
    return len(messages)


def take(channel: Any, queue: str) -> list[Any]:
    """Workers are quick: look again and again until a few are caught."""
    messages: list[Any] = []
    for _ in range(LOOKS):
        while len(messages) < TAKEN and (message := channel.basic_get(queue)):
            messages.append(message)
        if len(messages) > 1:
            break
        time.sleep(LOOK_SECONDS)
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
