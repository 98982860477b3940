"""Outgoing messages: each is built as it is written to the broker, or says in words why it can never be sent."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import structlog
from celery import Celery
from kombu.entity import PERSISTENT_DELIVERY_MODE

from celery_config.broker.routes import find_route
from celery_config.broker.topology import EVENTS, TASK_EXCHANGES, may_write
from celery_config.common import codec
from celery_config.common.correlation import HEADERS

# Options that say where a message goes; all others (retries, chain, argsrepr, …) become a part of it.
ROUTING_OPTIONS = {"task_id", "link_error", "exchange", "routing_key", "mandatory"}
OTHER_OPTIONS = {*ROUTING_OPTIONS, *HEADERS}
# Celery's defaults for missing headers; each header that is sent costs both ends.
CELERY_DEFAULTS = {
    "retries": 0,
    "timelimit": [None, None],
    "ignore_result": False,
    "replaced_task_nesting": 0,
    "stamps": {},
}
# py-amqp's when it writes what AMQP cannot hold; nothing of the message is sent then.
WRITE_ERRORS = (struct.error, TypeError, ValueError, OverflowError, RecursionError)
LONGEST_NAME = 255


class NotSendable(ValueError):
    """Why a message can never be sent, in words."""


@dataclass(frozen=True)
class PreparedMessage:
    """A message as it is written to the broker."""

    route: str
    task: str
    id: str
    body: str | bytes
    headers: dict[str, Any]
    properties: dict[str, Any]
    exchange: str
    routing_key: str
    mandatory: bool


def prepare_message(app: Celery, message: dict[str, Any]) -> PreparedMessage:
    """Build one message as it is written.

    `Celery.send_task` and kombu's producer also route, declare and look up the codec, which takes as much time again;
    every message here has its route. `sender` names the task whose outcome it is, for the log and the failpoints.

    Raises:
        NotSendable: we have no right to send it where it says, or a name in it is too long.
        others: it is no message at all.
    """
    options = message["options"]
    if sender := message.get("sender"):
        structlog.contextvars.bind_contextvars(task=sender)
    check_route(str(app.main), options.get("exchange"), options.get("routing_key"))
    properties = {name: value for name, value in options.items() if name not in OTHER_OPTIONS}
    task_id = options.get("task_id") or str(uuid4())
    if len(str(task_id)) > LONGEST_NAME:
        raise NotSendable(f"its id is longer than {LONGEST_NAME} bytes")
    built = app.amqp.create_task_message(
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
        headers={n: value for n, value in built.headers.items() if value != CELERY_DEFAULTS.get(n)}
        | {name: options[name] for name in HEADERS if name in options},
        properties={**built.properties, "delivery_mode": PERSISTENT_DELIVERY_MODE},
        exchange=options["exchange"],
        routing_key=options["routing_key"],
        mandatory=options.get("mandatory", False),
    )


def check_route(service: str, exchange: Any, routing_key: Any) -> None:
    """Check where a message goes.

    The broker closes the channel of a key that we have no right to, and does not say which message it was: all others
    of the route would wait behind it.

    Args:
        service: the sender.

    Raises:
        NotSendable: it sends nothing there.
    """
    if not isinstance(exchange, str):
        raise NotSendable("it names no exchange")
    if exchange not in (*TASK_EXCHANGES, EVENTS):
        raise NotSendable(f"we publish to no exchange {exchange!r}")
    if not isinstance(routing_key, str):
        raise NotSendable("it names no routing key")
    if len(routing_key.encode(errors="replace")) > LONGEST_NAME:
        raise NotSendable(f"its routing key is longer than {LONGEST_NAME} bytes")
    if not may_write(service, exchange, routing_key):
        raise NotSendable(f"{service} has no right to the key {routing_key!r} of {exchange!r}")


def describe_fault(error: Exception) -> str:
    """Say why a message can never be sent."""
    if isinstance(error, NotSendable):
        return str(error)
    if isinstance(error, struct.error):
        return f"it holds a name longer than {LONGEST_NAME} bytes, or a number that is too large: {error}"
    return f"it cannot be written: {type(error).__name__}: {error}"
