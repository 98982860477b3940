"""What the database says of the outbox and of its own recovery, for Prometheus and for the page of what moves."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from prometheus_client import Metric

from celery_config.common.metrics import read_gauge
from celery_config.messaging import epochs, trouble
from celery_config.messaging.outbox.publishing import count_set_aside
from celery_config.messaging.outbox.relay import find_oldest_unpublished, oldest_unpublished_seconds

# A relay that hangs or is stuck is seen soon; the alert, which wakes people, waits longer.
RELAY_LAG_LIMIT = 8.0


def measure_outbox() -> Iterator[Metric]:
    yield read_gauge(
        "order_saga_outbox_age_seconds",
        "How long the oldest unpublished outbox row could have been sent.",
        oldest_unpublished_seconds(),
    )
    yield read_gauge(
        "order_saga_outbox_set_aside",
        "Outbox rows that cannot be sent and wait for an operator.",
        count_set_aside(),
    )


def measure_trouble() -> Iterator[Metric]:
    yield read_gauge(
        "order_saga_trouble_seconds",
        "How long messages have been kept from moving by the service itself, by cause; 0 without it.",
        trouble.measure_seconds(),
        "cause",
    )


def measure_recovery() -> Iterator[Metric]:
    yield read_gauge(
        "order_saga_recovering",
        "Whether clients are refused because the database was restored and `recover` is not done.",
        epochs.is_recovering(),
    )


def check_relay() -> str:
    lag, route = find_oldest_unpublished()
    if lag < RELAY_LAG_LIMIT:
        return f"ok: {lag:.1f} s behind"
    return (
        f"late: {lag:.0f} s behind, first with what goes to {route}; "
        "does the relay run, and does the broker take messages there?"
    )


def check_recovery() -> str:
    """Empty as a rule: only a database that was restored is recovered."""
    if not epochs.is_recovering():
        return ""
    return f"the database was restored, and `./manage.py {settings.SERVICE} recover` is not done"


def check_set_aside() -> str:
    count = count_set_aside()
    return f"{count} rows cannot be sent; the admin's outbox says why" if count else "ok"
