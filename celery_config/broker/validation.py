"""A message is checked before a worker runs it: what no worker could run is named, and never raises."""

from __future__ import annotations

from typing import Any

import msgspec
from kombu.message import Message

from celery_config.broker.headers import Headers


def fault_of(message: Message, known: Any = None) -> str | None:
    """Why no worker could run this message, or None.

    Args:
        known: the names of the tasks there are; None leaves that question open.
    """
    headers = message.headers or {}
    if not (isinstance(headers.get("task"), str) and isinstance(headers.get("id"), str)):
        return "not a Celery task message: the headers `task` and `id` are missing, or no text"
    try:
        Headers.of(message)
    except msgspec.ValidationError as error:
        return f"malformed headers: {error}"
    if known is not None and headers["task"] not in known:
        return f"unknown task {headers['task']!r}"
    try:
        body = message.payload
    except Exception as error:  # every codec raises its own kinds
        return f"undecodable body: {error!r}"
    if not (isinstance(body, list | tuple) and len(body) == 3):
        return "malformed body: not [args, kwargs, embed]"
    args, kwargs, embed = body
    if not (isinstance(args, list) and isinstance(kwargs, dict) and isinstance(embed, dict | None)):
        return "malformed body: args must be a list, kwargs and embed objects"
    links = [(embed or {}).get(name) or [] for name in ("callbacks", "errbacks", "chain")]
    if not all(isinstance(some, list) and all(map(is_signature, some)) for some in links):
        return "malformed body: callbacks, errbacks and chain must be lists of signatures"
    return None


def is_signature(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("task"), str)
