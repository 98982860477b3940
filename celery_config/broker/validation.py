"""Message validation: the fault of a message that no worker could run is named, and no message makes this raise."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import msgspec
from kombu.message import Message

from celery_config.broker.incoming_headers import Headers, Link
from celery_config.broker.properties import REFUSED, next_level
from celery_config.broker.topology import (
    EVENT_TASKS,
    EVENTS,
    MOST_EVENTS,
    RECEIVE_ALL,
    TASK_EXCHANGES,
    find_announced_type,
    find_route_fault,
    is_link_key,
)

MAX_BYTES, MAX_SEPARATORS = 1024 * 1024, 40_000
"""Of a body. A chain has at most 144 kB; read as Python objects, a body may take thirty times its bytes."""
MAX_DEPTH = 500
"""Of a body; Python reads and writes almost a thousand levels."""


def find_fault(message: Message, known: Container[str] | None = None, *, receiver: str = "") -> str | None:
    """Return why no worker could run this message, or None.

    Args:
        known: the names of our tasks; None does not check the task.
        receiver: the service that received it; empty if unknown.
    """
    headers = message.headers or {}
    if REFUSED in headers:
        return str(headers[REFUSED])
    if not (isinstance(headers.get("task"), str) and isinstance(headers.get("id"), str)):
        return "not a Celery task message: the headers “task” and “id” are missing, or not text"
    try:
        msgspec.convert(headers, Headers)
    except msgspec.ValidationError as error:
        return f"malformed headers: {error}"
    if known is not None and headers["task"] not in known:
        return f"unknown task {headers['task']!r}"
    if fault := find_excess(message.body):
        return fault
    try:
        body = message.payload
    except Exception as error:  # each codec raises errors of its own
        return f"undecodable body: {error!r}"
    if not (isinstance(body, list | tuple) and len(body) == 3):
        return "malformed body: not [args, kwargs, embed]"
    args, kwargs, embed = body
    if not (isinstance(args, list) and isinstance(kwargs, dict) and isinstance(embed, dict | None)):
        return "malformed body: args must be a list, kwargs and embed objects"
    links = [(embed or {}).get(name) or [] for name in ("callbacks", "errbacks", "chain")]
    if not all(isinstance(some, list) and all(map(is_signature, some)) for some in links):
        return "malformed body: callbacks, errbacks and chain must be lists of signatures"
    if is_deep(message.body, body):
        return f"malformed body: nested deeper than {MAX_DEPTH}"
    return find_sender_fault(message, headers["task"], kwargs, receiver) or find_link_fault(links)


def find_sender_fault(message: Message, task: str, kwargs: dict[str, Any], receiver: str) -> str | None:
    """Return why the route of a message does not fit what it holds: its sender would have a right that it lacks."""
    route = message.delivery_info or {}
    exchange, key = str(route.get("exchange", "")), str(route.get("routing_key", ""))
    if fault := find_route_fault(exchange, key, task, receiver):
        return fault
    events: Any = [kwargs]
    if task == RECEIVE_ALL:
        events = kwargs.get("events")
        if not isinstance(events, list):
            return "malformed body: its events are no list"
        if len(events) > MOST_EVENTS:
            return f"malformed body: {len(events)} events, more than {MOST_EVENTS}"
    announced = find_announced_type(key)
    if exchange == EVENTS and any(
        not isinstance(event, dict) or event.get("type") != announced for event in events
    ):
        return f"forged: an event that is announced as {key!r} has another type"
    return None


def find_link_fault(links: list[list[dict[str, Any]]]) -> str | None:
    """Return why we may not publish what follows from this message with our own rights: its chain and its errbacks."""
    for link in [each for some in links for each in some]:
        try:
            options = msgspec.convert(link, Link).options
        except msgspec.ValidationError as error:
            return f"forged: its chain has a link that is none of ours: {error}"
        exchange, key = options.exchange, options.routing_key
        known = exchange in TASK_EXCHANGES and not link["task"].startswith(EVENT_TASKS)
        if not known or not is_link_key(exchange, key) or find_route_fault(exchange, key, link["task"]):
            return f"forged: its chain would publish {link['task']!r} to {exchange!r} under the key {key!r}"
    return None


def find_excess(body: Any) -> str | None:
    """Say what of a body is beyond the bounds, before it is decoded, or None.

    A worker holds a hundred messages, and the reader of dead letters two hundred: they must fit into its memory.
    """
    raw = body if isinstance(body, str | bytes) else bytes(body)
    if len(raw) > MAX_BYTES:
        return f"its body has {len(raw)} bytes, more than {MAX_BYTES}"
    separators = "[{," if isinstance(raw, str) else (b"[", b"{", b",")
    count = sum(map(raw.count, separators))  # type: ignore[arg-type]
    return f"its body has {count} parts, more than {MAX_SEPARATORS}" if count > MAX_SEPARATORS else None


def is_deep(raw: str | bytes, body: Any) -> bool:
    """Whether the body is nested so deeply that what follows from it could not be written."""
    opening = "[{" if isinstance(raw, str) else (b"[", b"{")
    if sum(map(raw.count, opening)) <= MAX_DEPTH:  # type: ignore[arg-type]
        return False
    level = [body]
    return all((level := next_level(level)) for _ in range(MAX_DEPTH))


def is_signature(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("task"), str)
