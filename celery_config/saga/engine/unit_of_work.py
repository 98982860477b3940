"""What one transaction changes of sagas: collected row by row, written with one statement for each table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.utils import timezone

from celery_config.common import metrics
from celery_config.common.grouping import group_by
from celery_config.contracts.base import decode
from celery_config.db import bulk
from celery_config.messaging.outbox import writing
from celery_config.saga.dsl import Saga
from celery_config.saga.engine.machine import Decision, Trigger
from celery_config.saga.models import SagaDecision, SagaInstance, SagaStep
from celery_config.saga.states import Status, StepState

log = structlog.get_logger(__name__)
CHANGING = [
    "status", "cause", "attempt", "drives", "since", "due_at", "owner", "answer_by", "fingerprint", "ended_at",
]  # fmt: skip
# Errbacks, dead letters and the deadline carry no reason; the refusal that the log holds says more.
UNEXPLAINED = ("step_failed", "dead_letter", "deadline_passed")


@dataclass
class UnitOfWork:
    """What one transaction knows and changes of sagas, collected and written at once.

    Args:
        now: the present saga time.
        logs: what the saga log says, by saga and step; the ends of chains need none.
        replies: of the steps that are done, by saga; read saga by saga, if few will need them.
    """

    now: datetime
    logs: Mapping[UUID, Mapping[str, StepState]] = field(default_factory=dict)
    replies: Mapping[UUID, dict[str, Any]] | None = None
    rows: list[SagaInstance] = field(default_factory=list)
    messages: list[tuple[UUID, dict[str, Any]]] = field(default_factory=list)
    decisions: list[SagaDecision] = field(default_factory=list)
    ended: list[tuple[type[Saga], SagaInstance, dict[str, Any]]] = field(default_factory=list)

    def write(self) -> None:
        explain([row for _, row, _ in self.ended if row.status == Status.COMPENSATED])
        # One that had to decide twice is written once.
        changed = list({row.pk: row for row in self.rows}.values())
        bulk.execute(
            *bulk.update_statement(SagaInstance, changed, CHANGING), *writing.task_statements(self.messages)
        )
        SagaDecision.objects.bulk_create(self.decisions)
        end(self.ended)


def recorded(row: SagaInstance, came: Trigger, before: str, decision: Decision) -> SagaDecision:
    told = {"came": str(came), "sent": str(decision.send or "")}
    log.info("saga decided", saga=str(row.pk), before=before, after=row.status, **told)
    detail = row.cause.get("reason", "") if row.status != before else ""
    return SagaDecision(saga=row, status_before=before, status_after=row.status, detail=detail, **told)


def end(ended: Sequence[tuple[type[Saga], SagaInstance, dict[str, Any]]]) -> None:
    """Tell the sagas' owners, in the transaction that ends them."""
    for (saga, status), group in group_by(lambda each: (each[0], each[1].status), ended).items():
        if status == Status.COMPLETED:
            saga.on_completed([(decode(saga.data, row.data), replies) for _, row, replies in group])
            continue
        saga.on_compensated([(decode(saga.data, row.data), row.cause) for _, row, _ in group])
    for saga, row, _ in ended:
        seconds = (timezone.now() - row.started_at).total_seconds()
        metrics.SAGAS_ENDED.labels(saga.name, row.status).inc()
        metrics.SAGA_SECONDS.labels(saga.name, row.status).observe(seconds)
        log.info("saga ended", saga=str(row.pk), subject=row.subject, outcome=row.status, **row.cause)


def explain(compensated: Sequence[SagaInstance]) -> None:
    """Let the refusal that the log holds be the cause, where a refused step was what stopped the saga."""
    unexplained = [row.pk for row in compensated if row.cause.get("code") in UNEXPLAINED]
    if not unexplained:
        return
    refused = SagaStep.objects.filter(saga__in=unexplained, refusal__isnull=False).exclude(
        logged=StepState.DONE
    )
    causes: dict[UUID, dict[str, str]] = {}
    for saga, step, refusal in refused.order_by("position").values_list("saga_id", "name", "refusal"):
        causes.setdefault(saga, {"step": step, **(refusal or {})})
    for row in compensated:
        row.cause = row.cause | causes.get(row.pk, {})
