"""What one transaction changes of sagas: collected row by row, written with one statement for each table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from django.utils import timezone

from celery_config import metrics
from celery_config.database import upsert
from celery_config.messages import decode
from celery_config.messaging import outbox
from celery_config.messaging.deliveries import by
from celery_config.saga.dsl import Saga
from celery_config.saga.machine import Decision, Input, Logged, Status
from celery_config.saga.models import SagaDecision, SagaInstance

log = structlog.get_logger(__name__)
CHANGING = [
    "status", "cause", "attempt", "drives", "since", "due_at", "owner", "answer_by", "fingerprint", "ended_at",
]  # fmt: skip
# Errbacks, dead letters and the deadline carry no reason; the refusal that the log holds says more.
UNEXPLAINED = ("step_failed", "dead_letter", "deadline_passed")


@dataclass
class Changes:
    """What one transaction changes of sagas, collected and written at once."""

    rows: list[SagaInstance] = field(default_factory=list)
    messages: list[tuple[UUID, dict[str, Any]]] = field(default_factory=list)
    decisions: list[SagaDecision] = field(default_factory=list)
    ended: list[tuple[type[Saga], SagaInstance, dict[str, Any]]] = field(default_factory=list)

    def write(self) -> None:
        upsert(SagaInstance, self.rows, CHANGING)
        outbox.add_tasks(self.messages)
        SagaDecision.objects.bulk_create(self.decisions)
        end(self.ended)


def recorded(row: SagaInstance, came: Input, before: str, decision: Decision) -> SagaDecision:
    told = {"came": str(came), "sent": str(decision.send or "")}
    log.info("saga decided", saga=str(row.pk), before=before, after=row.status, **told)
    detail = row.cause.get("reason", "") if row.status != before else ""
    return SagaDecision(saga=row, status_before=before, status_after=row.status, detail=detail, **told)


def end(ended: Sequence[tuple[type[Saga], SagaInstance, dict[str, Any]]]) -> None:
    """Tell the sagas' owners, in the transaction that ends them."""
    for (saga, status), group in by(lambda each: (each[0], each[1].status), ended).items():
        if status == Status.COMPLETED:
            saga.on_completed([(decode(saga.data, row.data), replies) for _, row, replies in group])
            continue
        rows = [row for _, row, _ in group]
        for row in rows:
            if row.cause.get("code") in UNEXPLAINED:
                row.cause = row.cause | refusal_of(row)
        upsert(SagaInstance, rows, ["cause"])
        saga.on_compensated([(decode(saga.data, row.data), row.cause) for row in rows])
    for saga, row, _ in ended:
        seconds = (timezone.now() - row.started_at).total_seconds()
        metrics.SAGAS_ENDED.labels(saga.name, row.status).inc()
        metrics.SAGA_SECONDS.labels(saga.name, row.status).observe(seconds)
        log.info("saga ended", saga=str(row.pk), subject=row.subject, outcome=row.status, **row.cause)


def refusal_of(row: SagaInstance) -> dict[str, str]:
    """The refusal that the log holds, if a refused step was what stopped the saga."""
    refused = row.steps.filter(refusal__isnull=False).exclude(logged=Logged.DONE).first()
    return {"step": refused.name, **refused.refusal} if refused else {}
