"""The saga log: what participants' events say of each step. A hint; their barriers are the truth (rule 16)."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from celery_config.db import bulk
from celery_config.db.functions import NOW
from celery_config.saga.models import SagaInstance, SagaStep
from celery_config.saga.states import StepState

SAID = ("saga", "name", "logged", "reply", "refusal")


@dataclass(frozen=True)
class Entry:
    """What an event says of one step."""

    saga: UUID
    step: str
    outcome: StepState
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
    said = [
        SimpleNamespace(
            saga_id=entry.saga,
            name=entry.step,
            logged=entry.outcome.value,
            reply=entry.content if entry.outcome is StepState.DONE else None,
            refusal=entry.content if entry.outcome is StepState.REFUSED else None,
        )
        for entry in best.values()
    ]
    with connection.cursor() as cursor:
        cursor.execute(merging(connection.vendor), [bulk.json_parameter(SagaStep, said, SAID)])
        raised = [(to_uuid(saga), step) for saga, step in cursor.fetchall()]
    return [best[key] for key in raised]


@functools.cache
def merging(vendor: str) -> str:
    """One statement that locks the steps in their order and raises those that stand lower."""
    locks = " FOR UPDATE OF step" if vendor == "postgresql" else ""
    return f"""
        WITH told AS (
            SELECT step.id, given.logged, given.reply, given.refusal
            FROM saga_sagastep AS step
            JOIN {bulk.json_relation(SagaStep, SAID, vendor)} ON step.saga_id = given.saga_id AND step.name = given.name
            ORDER BY step.id{locks}
        )
        UPDATE saga_sagastep SET
            logged = told.logged,
            reply = COALESCE(told.reply, saga_sagastep.reply),
            refusal = COALESCE(told.refusal, saga_sagastep.refusal),
            updated_at = {NOW[vendor]}
        FROM told
        WHERE saga_sagastep.id = told.id
            AND (saga_sagastep.logged = '' OR (told.logged = 'undone' AND saga_sagastep.logged <> 'undone'))
        RETURNING saga_sagastep.saga_id, saga_sagastep.name"""


to_uuid = SagaInstance._meta.get_field("id").to_python


def read(sagas: Sequence[SagaInstance]) -> dict[UUID, dict[str, StepState]]:
    """What the log says, by saga and step."""
    logs: dict[UUID, dict[str, StepState]] = {}
    found = SagaStep.objects.filter(saga__in=sagas).values_list("saga_id", "name", "logged")
    for saga, step, logged in found:
        logs.setdefault(saga, {})[step] = StepState(logged)
    return logs


def replies(sagas: Sequence[SagaInstance]) -> dict[UUID, dict[str, Any]]:
    """What the steps that are done replied, by saga and step."""
    known: dict[UUID, dict[str, Any]] = {}
    done = SagaStep.objects.filter(saga__in=sagas, logged=StepState.DONE)
    for saga, step, reply in done.values_list("saga_id", "name", "reply"):
        known.setdefault(saga, {})[step] = reply
    return known


def note_refusals(refusals: Mapping[tuple[UUID, str], dict[str, Any]]) -> None:
    """Keep the refusals that the barriers hold, by saga and step; a stop chain brought them home."""
    if not refusals:
        return
    sagas, steps = {saga for saga, _ in refusals}, {step for _, step in refusals}
    found = open_steps(sagas).select_for_update().filter(name__in=steps).order_by("pk")
    refused = [row for row in found.only("saga_id", "name") if (row.saga_id, row.name) in refusals]
    for row in refused:
        row.refusal = refusals[row.saga_id, row.name]
    bulk.update(SagaStep, refused, ["refusal"])


def open_steps(sagas: Iterable[UUID]) -> QuerySet[SagaStep]:
    """The steps of those of the sagas that have not ended: of the others nothing needs to be explained any more."""
    open_ones = SagaInstance.objects.filter(pk__in=list(sagas), ended_at__isnull=True)
    return SagaStep.objects.filter(saga__in=open_ones.values("pk"))


def note_failure(saga_id: UUID, step: str, operation: str, why: dict[str, str]) -> None:
    """Keep why a participant gave up; a twin may yet have done what it was asked."""
    found = open_steps([saga_id]).filter(name=step)
    found.update(failure={"operation": operation, **why})
    if operation == "do":
        # The best there is to explain the order's end with, unless a refusal is known.
        found.filter(refusal__isnull=True).update(refusal=why)
