"""The saga log: what participants' events say of each step. A hint; their barriers are the truth (rule 16)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from celery_config import rows
from celery_config.database import Now
from celery_config.groups import by
from celery_config.saga.machine import Logged
from celery_config.saga.models import SagaInstance, SagaStep

# Where what an event says of a step is kept.
CONTENT: dict[Logged, tuple[str, ...]] = {
    Logged.DONE: ("reply",), Logged.REFUSED: ("refusal",), Logged.UNDONE: (),
}  # fmt: skip


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
            for row in found.only("saga_id", "name", "logged")
            if (said := best.get((row.saga_id, row.name))) and Logged(row.logged).rank < said.outcome.rank
        ]
        for row, entry in raised:
            row.logged, row.updated_at = entry.outcome.value, Now()
            for name in CONTENT[entry.outcome]:
                setattr(row, name, entry.content)
        for outcome, some in by(lambda each: each[1].outcome, raised).items():
            rows.update(SagaStep, [row for row, _ in some], ["logged", "updated_at", *CONTENT[outcome]])
    return [entry for _, entry in raised]


def read(sagas: Sequence[SagaInstance]) -> dict[UUID, dict[str, Logged]]:
    """What the log says, by saga and step."""
    logs: dict[UUID, dict[str, Logged]] = {}
    found = SagaStep.objects.filter(saga__in=sagas).values_list("saga_id", "name", "logged")
    for saga, step, logged in found:
        logs.setdefault(saga, {})[step] = Logged(logged)
    return logs


def note_refusals(refusals: Mapping[tuple[UUID, str], dict[str, Any]]) -> None:
    """Keep the refusals that the barriers hold, by saga and step; a stop chain brought them home."""
    if not refusals:
        return
    sagas, steps = {saga for saga, _ in refusals}, {step for _, step in refusals}
    found = SagaStep.objects.select_for_update().filter(saga__in=sagas, name__in=steps).order_by("pk")
    refused = [row for row in found.only("saga_id", "name") if (row.saga_id, row.name) in refusals]
    for row in refused:
        row.refusal = refusals[row.saga_id, row.name]
    rows.update(SagaStep, refused, ["refusal"])


def note_failure(saga_id: UUID, step: str, operation: str, why: dict[str, str]) -> None:
    """Keep why a participant gave up; a twin may yet have done what it was asked."""
    found = SagaStep.objects.filter(saga_id=saga_id, name=step)
    found.update(failure={"operation": operation, **why})
    if operation == "do":
        # The best there is to explain the order's end with, unless a refusal is known.
        found.filter(refusal__isnull=True).update(refusal=why)
