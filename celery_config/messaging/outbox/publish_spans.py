"""The relay's part of a trace: each message that it publishes has a span, the parent of the message's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from celery_config.common import tracing
from celery_config.common.correlation import TRACEPARENT


@contextmanager
def trace_messages(messages: Sequence[dict[str, Any]]) -> Iterator[None]:
    """Give those of the messages spans that belong to a trace; they are published in the block."""
    spans = [start_publish_span(message) for message in messages] if tracing.is_on() else []
    try:
        yield
    finally:
        for span in spans:
            tracing.end_span(span)


def start_publish_span(message: dict[str, Any]) -> Any:
    """An event keeps what it says: its sender has proved it as it is."""
    options, event = message["options"], message["kwargs"]
    parent = options.get(TRACEPARENT) or event.get("traceparent")
    if not parent:
        return None
    name = event.get("type") or message["task"]
    span = tracing.start_span(f"publish {name}", parent=parent, kind="PRODUCER", saga=event.get("saga"))
    if TRACEPARENT in options:
        message["options"] = {**options, TRACEPARENT: tracing.name_span(span)}
    return span
