"""What the proof knows, for Prometheus, for `/flowz` and for the board."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from prometheus_client import Metric

from celery_config.common.metrics import read_gauge
from celery_config.db.functions import fetch_now
from order_project.proof.models import BrokenPromise, ProofMark

PASS_SECONDS = 60.0
"""A relay makes a pass every ten seconds."""
LATE_SECONDS = 120.0


def count_broken() -> int:
    """How many broken promises no operator has dealt with."""
    return BrokenPromise.objects.filter(dealt_with_at__isnull=True).count()


def compute_lateness(mark: ProofMark | None, now: datetime) -> float:
    """Return for how many seconds orders have waited for their proof; 0: none waits.

    A relay that makes no pass says nothing of what waits.
    """
    if mark is None or mark.passed_at is None:
        return 0.0
    silent = (now - mark.passed_at).total_seconds()
    waited = (now - mark.waits_since).total_seconds() if mark.waits_since else 0.0
    return max(waited, silent if silent > PASS_SECONDS else 0.0)


def read_lateness() -> float:
    return compute_lateness(ProofMark.objects.first(), fetch_now())


def measure_proof() -> Iterator[Metric]:
    yield read_gauge(
        "order_saga_broken_promises",
        "Orders' broken promises that no operator has dealt with.",
        count_broken(),
    )
    yield read_gauge(
        "order_saga_proof_late_seconds", "How long orders have waited for their proof.", read_lateness()
    )


def check_proof() -> str:
    """For `/flowz`: only a warning, since nothing stands for it."""
    if broken := count_broken():
        return f"warning: {broken} broken promises; see order's admin"
    late = read_lateness()
    return f"warning: orders wait for their proof for {late:.0f} s" if late > LATE_SECONDS else "ok"
