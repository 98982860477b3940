"""Unit of work: a transaction's changes to sagas, collected row by row, written with one statement a table."""

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
from celery_config.saga.engine.refusals import explain_causes
from celery_config.saga.models import SagaDecision, SagaInstance
from celery_config.saga.states import Status, StepState

log = structlog.get_logger(__name__)
UPDATED_COLUMNS = [
    "status", "cause", "attempt", "drives", "since", "due_at", "owner", "answer_by", "fingerprint", "ended_at",
]  # fmt: skip


@dataclass
class UnitOfWork:
    """What one transaction knows about sagas and changes in them.

    Args:
        now: the present saga time.
        logs: the saga log, by saga and step; the ends of chains need none.
        replies: those of the steps that are done, by saga; None: they are read saga by saga.
    """

    now: datetime
    logs: Mapping[UUID, Mapping[str, StepState]] = field(default_factory=dict)
    replies: Mapping[UUID, dict[str, Any]] | None = None
    rows: list[SagaInstance] = field(default_factory=list)
    messages: list[tuple[UUID, dict[str, Any]]] = field(default_factory=list)
    decisions: list[SagaDecision] = field(default_factory=list)
    ended: list[tuple[type[Saga], SagaInstance, dict[str, Any]]] = field(default_factory=list)

    def write(self) -> None:
        """Write everything collected and notify the sagas' owners."""
        explain_causes([row for _, row, _ in self.ended if row.status == Status.COMPENSATED])
        # A saga that decided twice is written once.
        changed = list({row.pk: row for row in self.rows}.values())
        bulk.execute(
            *bulk.update_statement(SagaInstance, changed, UPDATED_COLUMNS), *writing.tasks(self.messages)
        )
        SagaDecision.objects.bulk_create(self.decisions)
        notify_owners(self.ended)


def record_decision(row: SagaInstance, trigger: Trigger, before: str, decision: Decision) -> SagaDecision:
    """Log the decision and return its row."""
    columns = {"came": str(trigger), "sent": str(decision.send or "")}
    log.info("saga decided", saga=str(row.pk), before=before, after=row.status, **columns)
    detail = row.cause.get("reason", "") if row.status != before else ""
    return SagaDecision(saga=row, status_before=before, status_after=row.status, detail=detail, **columns)


def notify_owners(ended: Sequence[tuple[type[Saga], SagaInstance, dict[str, Any]]]) -> None:
    """Call the sagas' callbacks, in the transaction that ends them."""
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
