"""Traces: one trace of an order, from its request through every message and call (https://opentelemetry.io).

Off unless `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector: nothing of OpenTelemetry is imported then, and each function
here returns at once. A message that is carried out has a span, the parent of the messages that follow. Many are carried
out together: their statements belong to a span of the batch, which is linked to each of theirs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_spans: Any = None
"""The module that makes spans; None while tracing is off."""


def start_tracing(service: str, process: str) -> None:
    """Send the spans of this process to the collector that the environment names; without one, make none.

    Call it before the process takes work. OpenTelemetry's own variables say the rest, such as `OTEL_TRACES_SAMPLER`.

    Args:
        process: `web`, `worker`, `relay` or `notifier`.
    """
    if not os.environ.get(ENDPOINT):
        return
    # It imports OpenTelemetry, which takes memory and time.
    from celery_config.common import spans

    spans.start(service, process)
    global _spans
    _spans = spans


def is_on() -> bool:
    return _spans is not None


def read_traceparent() -> str:
    """Return what names the present span, for a header of what it leads to; empty without one."""
    return str(_spans.read_traceparent()) if _spans else ""


def start_span(
    name: str, *, parent: str = "", kind: str = "INTERNAL", links: Iterable[str] = (), **attributes: Any
) -> Any:
    """Begin a span and return it; None while tracing is off.

    Args:
        parent: the `traceparent` of the span that it belongs to; empty: the present one, or a trace of its own.
        kind: a name of OpenTelemetry's `SpanKind`.
        links: the `traceparent` of further spans that led to it.
    """
    return _spans.start_span(name, parent, kind, links, attributes) if _spans else None


def end_span(span: Any, error: BaseException | None = None) -> None:
    """End a span; `error` is why it did not succeed."""
    if span is not None:
        _spans.end_span(span, error)


def let_present(span: Any) -> AbstractContextManager[Any]:
    """Let what this thread does in the block belong to the span."""
    return nullcontext() if span is None else _spans.let_present(span)


def name_span(span: Any) -> str:
    """Return the `traceparent` of a span; empty without one."""
    return "" if span is None else str(_spans.name_span(span))
