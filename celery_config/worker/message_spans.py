"""The worker's part of a trace: each message that is carried out has a span, the parent of the messages that follow.

What is done for a whole batch belongs to none of its messages: it has a span of its own, linked to each of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from celery.worker.request import Request

from celery_config.common import tracing
from celery_config.common.correlation import TRACEPARENT

ATTRIBUTES = ("saga", "step", "operation", "subject")


@contextmanager
def trace_batch(requests: Sequence[Request]) -> Iterator[None]:
    """Let what is done in the block belong to the message or, of several, to a span of their batch.

    Messages that have no span yet get one; it ends with the message, in `end_message_span`.
    """
    if not tracing.is_on():
        yield
        return
    for request in requests:
        if get_span(request) is None:
            request.span = start_message_span(request)
    if len(requests) == 1:
        with tracing.let_present(get_span(requests[0])):
            yield
        return
    links = [tracing.name_span(get_span(request)) for request in requests]
    together = tracing.start_span("batch", links=links, messages=len(requests))
    try:
        with tracing.let_present(together):
            yield
    finally:
        tracing.end_span(together)


def start_message_span(request: Request) -> Any:
    _, kwargs, _ = request.message.payload
    # Events that travel together: they belong to several traces.
    events = found if isinstance(found := kwargs.get("events"), list) else []
    kind = read_text(kwargs, "type") or next((read_text(event, "type") for event in events), "")
    return tracing.start_span(
        f"receive {kind}" if kind else request.task.name,
        parent=request.request_dict.get(TRACEPARENT) or read_text(kwargs, "traceparent"),
        kind="CONSUMER",
        links=[read_text(event, "traceparent") for event in events],
        retries=request.request_dict.get("retries") or 0,
        **{name: read_text(kwargs, name) for name in ATTRIBUTES},
    )


def read_text(kwargs: Any, name: str) -> str:
    """A text that a message names; nothing is decoded yet."""
    found = kwargs.get(name) if isinstance(kwargs, Mapping) else None
    return found if isinstance(found, str) else ""


def get_span(request: Request) -> Any:
    return getattr(request, "span", None)


def end_message_span(request: Request, error: Exception | None) -> None:
    """End the span of a message; `error` is why it did not succeed."""
    tracing.end_span(get_span(request), error)
