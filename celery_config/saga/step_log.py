"""The saga log: what participants' events say of each step. A hint; their barriers are the truth (rule 16)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from celery_config.database import Now, upsert
from celery_config.saga.machine import Logged
from celery_config.saga.models import SagaStep


@dataclass(frozen=True)
class Entry:
    """What an event says of one step."""

    saga: UUID
    step: str
    outcome: Logged
    content: dict[str, Any] | None


def merge(entries: Iterable[Entry]) -> list[Entry]:
    """Raise the log to what the entries say where it stands lower (rule 16); return what changed it."""
    best: dict[tuple[UUID, str], Entry] = {}
    for entry in entries:
        there = best.setdefault((entry.saga, entry.step), entry)
        if entry.outcome.rank > there.outcome.rank:
            best[entry.saga, entry.step] = entry
    if not best:
        return []
    sagas, steps = {saga for saga, _ in best}, {step for _, step in best}
    with transaction.atomic(savepoint=False):
        found = SagaStep.objects.select_for_update().filter(saga__in=sagas, name__in=steps).order_by("pk")
        raised = [
            (row, said)
            for row in found
            if (said := best.get((row.saga_id, row.name))) and Logged(row.logged).rank < said.outcome.rank
        ]
        for row, entry in raised:
            row.logged, row.updated_at = entry.outcome.value, Now()
            if entry.outcome is Logged.DONE:
                row.reply = entry.content
            elif entry.outcome is Logged.REFUSED:
                row.refusal = entry.content
        upsert(SagaStep, [row for row, _ in raised], ["logged", "reply", "refusal", "updated_at"])
    return [entry for _, entry in raised]


def note_failure(saga_id: UUID, step: str, operation: str, why: dict[str, str]) -> None:
    """Keep why a participant gave up; a twin may yet have done what it was asked."""
    found = SagaStep.objects.filter(saga_id=saga_id, name=step)
    found.update(failure={"operation": operation, **why})
    if operation == "do":
        # The best there is to explain the order's end with, unless a refusal is known.
        found.filter(refusal__isnull=True).update(refusal=why)
