"""Prometheus metrics of every process: the web serves them at `/metrics`, worker and relay on a port of their own."""

from __future__ import annotations

from django.conf import settings
from prometheus_client import Counter, Gauge, Histogram, start_http_server

STEP_SECONDS = Histogram(
    "order_saga_step_seconds",
    "Time of one command at its participant, by outcome.",
    ["command", "outcome"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
SAGAS_ENDED = Counter("order_saga_sagas_ended_total", "Sagas that reached an end.", ["saga", "outcome"])
SAGA_SECONDS = Histogram(
    "order_saga_saga_seconds",
    "From start to end of a saga.",
    ["saga", "outcome"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900),
)
EVENTS_HANDLED = Counter("order_saga_events_handled_total", "Events handled, by type.", ["type"])
PUBLISHED = Counter("order_saga_outbox_published_total", "Outbox rows published.", ["kind"])
UNPUBLISHED = Counter(
    "order_saga_outbox_refused_total", "Outbox rows the broker returned or did not confirm."
)
OUTBOX_AGE = Gauge(
    "order_saga_outbox_age_seconds", "Age of the oldest outbox row that is due and unpublished."
)
BARRIER_UNANSWERED = Gauge(
    "order_saga_barrier_unanswered_seconds",
    "How long old barrier rows have been kept because nobody says whether their saga has ended.",
)
DUE_AGE = Gauge(
    "order_saga_due_age_seconds", "How long the most overdue saga has been waiting for the watchdog."
)
WEBHOOKS = Counter("order_saga_webhooks_total", "Events from outside, by what became of them.", ["outcome"])
DEAD_LETTERS = Counter(
    "order_saga_dead_letters_total", "Messages that came back as dead letters.", ["reason"]
)
REDRIVES = Counter("order_saga_redrives_total", "Sagas the watchdog drove again.", ["status"])
QUEUE_MISSING_MEMBERS = Gauge(
    "order_saga_queue_missing_members", "Members that a queue lacks or that are down.", ["queue"]
)
QUEUE_WAITING_DEAD_LETTERS = Gauge(
    "order_saga_queue_waiting_dead_letters",
    "Dead letters in a queue that the queue of dead letters has not confirmed.",
    ["queue"],
)
PARKED_OVERDUE = Gauge("order_saga_parked_overdue", "Parked sagas whose owner has not decided in time.")
SAGAS = Gauge("order_saga_sagas", "Sagas that have not ended, by status.", ["status"])


def serve() -> None:
    """Serve the metrics of a worker or relay on `METRICS_PORT`; 0 serves none."""
    if settings.METRICS_PORT:
        start_http_server(settings.METRICS_PORT, settings.METRICS_HOST)
