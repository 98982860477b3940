"""What the database says of the copies kept here, for Prometheus."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from prometheus_client import Metric

from celery_config.common.metrics import read_gauge
from celery_config.copies import freshness
from celery_config.copies.models import CopyState
from celery_config.copies.registry import copies
from celery_config.db import functions


def measure_copies() -> Iterator[Metric]:
    if not copies:
        return
    now, states = functions.fetch_now(), freshness.list_states()
    yield read_gauge(
        "order_saga_copy_lag_seconds",
        "Age of the oldest change of the source that a copy may not have.",
        {state.name: compute_possible_lag(state, now) for state in states},
        "copy",
    )
    yield read_gauge(
        "order_saga_copy_differences",
        "Rows in which a copy differed from its source when they were compared.",
        {state.name: state.differing or 0 for state in states},
        "copy",
    )
    yield read_gauge(
        "order_saga_copy_checked_timestamp_seconds",
        "When a copy was last compared with its source; 0: never.",
        {state.name: state.checked_at.timestamp() if state.checked_at else 0 for state in states},
        "copy",
    )


def compute_possible_lag(state: CopyState, now: datetime) -> float:
    """Seconds behind the source; after too long without a look at it, the time since then."""
    lag = freshness.compute_lag(state, now)
    if lag is not None:
        return lag
    since = state.behind_since or state.looked_at
    return max((now - since).total_seconds(), settings.COPY_LAG_LIMIT_SECONDS) if since else math.inf
