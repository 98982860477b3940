"""Correlation: the request that began an order and the trace it belongs to, kept in rows, messages and events.

A message carries them as headers and an event as attributes; what follows from either passes them on, so that one
order can be followed through the logs and traces of all services. They prove nothing: everyone who may publish can
write anything there, so they decide nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from celery_config.common import tracing

REQUEST_ID, TRACEPARENT = "request_id", "traceparent"
HTTP_HEADER = "X-Request-ID"
HEADERS = (REQUEST_ID, TRACEPARENT)
"""The headers of a task message. In logs the request's id has the same name."""
LONGEST_REQUEST_ID, TRACEPARENT_LENGTH = 128, 55
REQUEST_ID_PATTERN = rf"[A-Za-z0-9._-]{{1,{LONGEST_REQUEST_ID}}}"
"""Nothing that could forge a log line or a header."""
TRACEPARENT_PATTERN = r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
"""See https://www.w3.org/TR/trace-context/, version 00."""


@dataclass(frozen=True)
class Origin:
    """What began an order or another flow; empty where that is not known."""

    request_id: str = ""
    traceparent: str = ""

    def make_headers(self) -> dict[str, str]:
        """Return the headers of a task message."""
        return drop_empty({REQUEST_ID: self.request_id, TRACEPARENT: self.traceparent})

    def make_attributes(self) -> dict[str, str]:
        """Return the attributes of a CloudEvent, whose names have no underscore."""
        return drop_empty({"requestid": self.request_id, "traceparent": self.traceparent})


def check_request_id(value: Any) -> str:
    """Return the value if it is a request's id, else an empty text."""
    return value if isinstance(value, str) and re.fullmatch(REQUEST_ID_PATTERN, value) else ""


def read_origin() -> Origin:
    """Return what the flows that this thread starts begin with: the request that it answers, and its span."""
    return Origin(structlog.contextvars.get_contextvars().get(REQUEST_ID, ""), tracing.read_traceparent())


def copy_headers(request: Any) -> dict[str, str]:
    """Return the headers that a message passes on.

    Args:
        request: a task's context, which has headers as attributes.
    """
    return drop_empty({name: getattr(request, name, None) or "" for name in HEADERS})


def make_http_headers(request: Any) -> dict[str, str]:
    """Return the headers of an HTTP call that carries on a message; `request` is a task's context."""
    headers = copy_headers(request)
    names = {REQUEST_ID: HTTP_HEADER, TRACEPARENT: TRACEPARENT}
    return {names[name]: value for name, value in headers.items()}


def name_request(request_id: str) -> dict[str, str]:
    """Return the ids for a log line about a flow that a request began; none where it is not known.

    A line that is written while another request is answered, such as a cancellation, names that one, too.
    """
    if not request_id:
        return {}
    answered = structlog.contextvars.get_contextvars().get(REQUEST_ID, "")
    other = answered if answered != request_id else ""
    return drop_empty({REQUEST_ID: request_id, "by_request": other})


def drop_empty(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
