"""Message validation: the fault of a message that no worker could run is named, and no message makes this raise."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import msgspec
from kombu.message import Message

from celery_config.broker.incoming_headers import Headers
from celery_config.broker.properties import REFUSED, next_level

MAX_DEPTH = 500
"""Of a body; Python reads and writes almost a thousand levels."""


def find_fault(message: Message, known: Container[str] | None = None) -> str | None:
    """Return why no worker could run this message, or None.

    Args:
        known: the names of our tasks; None does not check the task.
    """
    headers = message.headers or {}
    if REFUSED in headers:
        return str(headers[REFUSED])
    if not (isinstance(headers.get("task"), str) and isinstance(headers.get("id"), str)):
        return "not a Celery task message: the headers `task` and `id` are missing, or not text"
    try:
        msgspec.convert(headers, Headers)
    except msgspec.ValidationError as error:
        return f"malformed headers: {error}"
    if known is not None and headers["task"] not in known:
        return f"unknown task {headers['task']!r}"
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
    return None


def is_deep(raw: str | bytes, body: Any) -> bool:
    """Whether the body is nested so deeply that what follows from it could not be written."""
    opening = "[{" if isinstance(raw, str) else (b"[", b"{")
    if sum(map(raw.count, opening)) <= MAX_DEPTH:  # type: ignore[arg-type]
        return False
    level = [body]
    return all((level := next_level(level)) for _ in range(MAX_DEPTH))


def is_signature(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("task"), str)
