"""Prometheus metrics: each is exported by the processes that know its value, and by no other.

The web also exports what its service's database says at that moment (`read_gauge`, the setting MEASURES). So a relay or
worker that is down hides nothing, and a second one doubles nothing. Every child of a labelled counter is made when the
process starts: `increase()` does not see a counter that is born with its first value.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterable, Mapping

from django.conf import settings
from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from celery_config.common.arguments import parse_port


class Registries(CollectorRegistry):
    """Several registries as one to register with."""

    def __init__(self, *registries: CollectorRegistry) -> None:
        super().__init__()
        self.registries = registries

    def register(self, collector: Collector) -> None:
        for registry in self.registries:
            registry.register(collector)


WEB, WORKER, RELAY, NOTIFIER = (CollectorRegistry() for _ in range(4))
"""What each kind of process exports."""
EVERYBODY = Registries(WEB, WORKER, RELAY)
preparations: list[Callable[[], None]] = []
for of_process in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
    EVERYBODY.register(of_process)
    NOTIFIER.register(of_process)

STEP_SECONDS = Histogram(
    "order_saga_step_seconds",
    "Time of one command at its participant, by outcome.",
    ["command", "outcome"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
    registry=Registries(WEB, WORKER),  # a step over REST runs in the web
)
SAGAS_ENDED = Counter(
    "order_saga_sagas_ended_total", "Sagas that reached an end.", ["saga", "outcome"], registry=EVERYBODY
)
SAGA_SECONDS = Histogram(
    "order_saga_saga_seconds",
    "From start to end of a saga.",
    ["saga", "outcome"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900),
    registry=EVERYBODY,
)
EVENTS_HANDLED = Counter(
    "order_saga_events_handled_total", "Events handled, by type.", ["type"], registry=WORKER
)
PUBLISHED = Counter("order_saga_outbox_published_total", "Outbox rows published.", ["kind"], registry=RELAY)
UNPUBLISHED = Counter(
    "order_saga_outbox_refused_total", "Outbox rows the broker returned or did not confirm.", registry=RELAY
)
BARRIER_UNANSWERED = Gauge(
    "order_saga_barrier_unanswered_seconds",
    "How long old barrier rows have been kept because it is not known whether their saga has ended.",
    registry=RELAY,
)
WEBHOOKS = Counter(
    "order_saga_webhooks_total", "Events from outside, by what became of them.", ["outcome"], registry=WEB
)
CALLS_REFUSED = Counter(
    "order_saga_calls_refused_total",
    "Calls that the provider or carrier answered with 429: they came too often.",
    registry=WORKER,
)
DEAD_LETTERS = Counter(
    "order_saga_dead_letters_total", "Messages that came back as dead letters.", ["reason"], registry=RELAY
)
REDRIVES = Counter("order_saga_redrives_total", "Sagas the watchdog drove again.", ["status"], registry=RELAY)
NOTIFICATIONS_FAILED = Counter(
    "order_saga_notifications_failed_total",
    "Tries to send a notification that failed, by channel.",
    ["channel"],
    registry=Registries(WEB, RELAY, NOTIFIER),
)
QUEUE_MISSING_MEMBERS = Gauge(
    "order_saga_queue_missing_members",
    "Members that a queue lacks or that are down.",
    ["queue"],
    registry=RELAY,
)
QUEUE_WAITING_DEAD_LETTERS = Gauge(
    "order_saga_queue_waiting_dead_letters",
    "Dead letters in a queue that the queue of dead letters has not confirmed.",
    ["queue"],
    registry=RELAY,
)


def read_gauge(
    name: str, text: str, value: float | Mapping[str, float], label: str = ""
) -> GaugeMetricFamily:
    """A gauge whose value was read just now.

    Args:
        value: with a `label` the value for each of its values.
    """
    gauge = GaugeMetricFamily(name, text, labels=[label] if label else None)
    for labelled, number in (value if isinstance(value, Mapping) else {"": value}).items():
        gauge.add_metric([labelled] if label else [], number)
    return gauge


def prepare_labels(metric: Counter | Histogram, *labels: Iterable[str]) -> None:
    """Make the children of a metric for each combination of these values, given in the order of its labels."""
    for values in itertools.product(*labels):
        metric.labels(*values)


def prepare_at_start(prepare: Callable[[], None]) -> Callable[[], None]:
    """Call the function when the process starts: all that registers itself has then been imported."""
    preparations.append(prepare)
    return prepare


def prepare() -> None:
    """Make the children of all labelled counters."""
    for each in preparations:
        each()


def serve(registry: CollectorRegistry, port: int) -> None:
    """Serve the metrics of a worker or relay at a port; 0 serves none."""
    prepare()
    if port:
        start_http_server(port, settings.METRICS_HOST, registry=registry)


def add_port(parser: argparse.ArgumentParser) -> None:
    """Add the option of a command that serves its metrics."""
    parser.add_argument(
        "--metrics-port",
        type=parse_port,
        default=settings.METRICS_PORT,
        help="where it serves its metrics; default: METRICS_PORT",
    )
