"""What the proof knows, for Prometheus, for `/flowz` and for the board."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Count, Subquery, Value
from django.db.models.functions import Coalesce
from prometheus_client import Metric

from celery_config.common.metrics import read_gauge
from celery_config.db.functions import Now
from celery_config.messaging.observations import note
from order_project.proof.models import BrokenPromise, DailyStatement, ProofMark

PASS_SECONDS = 60.0
"""A relay makes a pass every ten seconds."""
LATE_SECONDS = 120.0
SEEN = "proof"
"""The observation by which the board knows it: the relay writes it after each pass."""


@dataclass(frozen=True)
class ProofState:
    """Where the proof stands."""

    broken: int = 0
    """Broken promises that no operator has dealt with."""
    late_seconds: float = 0.0
    """How long orders have waited for their proof; 0: none waits."""


def read_state() -> ProofState:
    """Read it with one statement. Of a relay that makes no pass the silence is how late it is."""
    open_ones = BrokenPromise.objects.filter(dealt_with_at__isnull=True).order_by().values(one=Value(1))
    count = Coalesce(Subquery(open_ones.annotate(n=Count("pk")).values("n")), 0)
    mark: Any = ProofMark.objects.annotate(real=Now(), broken=count).first()
    if mark is None or mark.passed_at is None:
        return ProofState()
    silent = (mark.real - mark.passed_at).total_seconds()
    waited = (mark.real - mark.waits_since).total_seconds() if mark.waits_since else 0.0
    if not settings.PROVE_ORDERS:  # nothing waits for what is switched off
        return ProofState(mark.broken)
    return ProofState(mark.broken, max(waited, silent if silent > PASS_SECONDS else 0.0))


def note_state() -> None:
    """Keep for the board where the proof stands, and the last statement."""
    state = read_state()
    last = DailyStatement.objects.values("day", "orders", "violations", "books").first()
    statement = {**last, "day": last["day"].isoformat()} if last else {}
    note(SEEN, {"broken": state.broken, "late_seconds": state.late_seconds, "statement": statement})


def measure_proof() -> Iterator[Metric]:
    state = read_state()
    yield read_gauge(
        "order_saga_broken_promises",
        "Orders' broken promises that no operator has dealt with.",
        state.broken,
    )
    yield read_gauge(
        "order_saga_proof_late_seconds", "How long orders have waited for their proof.", state.late_seconds
    )


def check_proof() -> str:
    """For `/flowz`: only a warning, since nothing stands for it."""
    state = read_state()
    if state.broken:
        count = "1 promise is" if state.broken == 1 else f"{state.broken} promises are"
        return f"warning: {count} broken; see order's admin"
    if not settings.PROVE_ORDERS:
        return "ok: PROVE_ORDERS switches it off"
    if state.late_seconds > LATE_SECONDS:
        return f"warning: orders wait for their proof for {state.late_seconds:.0f} s"
    return "ok"
