"""Spans: what `tracing` calls while it is on. Spans hold ids, names of tasks and statements without their parameters.

Celery's own instrumentation does not fit: our worker carries out messages in batches, and the relay publishes them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

EXPORT_SECONDS = "2"
"""A collector that does not answer holds the end of a process up for so long."""
NOT_TRACED = "healthz,readyz,flowz,metrics"
HEADER = "traceparent"
propagator = TraceContextTextMapPropagator()


class WithinTraces(Sampler):
    """Drops calls and statements that belong to nothing: the relay looks into its tables all day.

    Args:
        chosen: the sampler that decides about all others, by `OTEL_TRACES_SAMPLER`.
    """

    def __init__(self, chosen: Sampler) -> None:
        self.chosen = chosen

    def should_sample(
        self, parent_context: Any, trace_id: int, name: str, kind: Any = None, *args: Any, **more: Any
    ) -> SamplingResult:
        parent = trace.get_current_span(parent_context).get_span_context()
        if kind is SpanKind.CLIENT and not parent.is_valid:
            return SamplingResult(Decision.DROP)
        return self.chosen.should_sample(parent_context, trace_id, name, kind, *args, **more)

    def get_description(self) -> str:
        return f"within traces, {self.chosen.get_description()}"


def start(service: str, process: str) -> None:
    """See `tracing.start_tracing`."""
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", EXPORT_SECONDS)
    os.environ.setdefault("OTEL_PYTHON_DJANGO_EXCLUDED_URLS", NOT_TRACED)
    about = {"service.namespace": "order-saga", "service.name": service, "process.type": process}
    provider = TracerProvider(resource=Resource.create(about))
    provider.sampler = WithinTraces(provider.sampler)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    if process == "web":
        DjangoInstrumentor().instrument(request_hook=drop_query)
    HTTPXClientInstrumentor().instrument()
    PsycopgInstrumentor().instrument()


def drop_query(span: Span, request: Any) -> None:
    """Keep only the path of an address: a query may hold an e-mail address or a reference."""
    for name in ("http.url", "http.target", "url.full"):
        span.set_attribute(name, request.path)
    span.set_attribute("url.query", "")


def start_span(
    name: str, parent: str, kind: str, links: Iterable[str], attributes: Mapping[str, Any]
) -> Span:
    """See `tracing.start_span`."""
    linked = [trace.get_current_span(read_context(each)).get_span_context() for each in links if each]
    return trace.get_tracer("order-saga").start_span(
        name,
        context=read_context(parent) if parent else None,
        kind=SpanKind[kind],
        links=[Link(each) for each in linked if each.is_valid],
        attributes={name: value for name, value in attributes.items() if value not in (None, "")},
    )


def end_span(span: Span, error: BaseException | None) -> None:
    """See `tracing.end_span`. Of an error only its kind is kept: the text may hold what is a person's."""
    if error is not None:
        span.set_status(StatusCode.ERROR, type(error).__name__)
    span.end()


def let_present(span: Span) -> AbstractContextManager[Any]:
    """See `tracing.let_present`."""
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)


def read_traceparent() -> str:
    return name_span(trace.get_current_span())


def name_span(span: Span) -> str:
    carrier: dict[str, str] = {}
    propagator.inject(carrier, trace.set_span_in_context(span, Context()))
    return carrier.get(HEADER, "")


def read_context(traceparent: str) -> Context:
    return propagator.extract({HEADER: traceparent}, Context())
