"""Saga log: the latest known state of every step; it only rises (rule 16, the saga log).

The log is a hint fed by participants' events; their barriers are the truth.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.db import connection

from celery_config.db import bulk
from celery_config.db.functions import NOW, fetch_all
from celery_config.saga.models import SagaInstance, SagaStep
from celery_config.saga.states import StepState

ENTRY_COLUMNS = ("saga", "name", "logged", "reply", "refusal")


@dataclass(frozen=True)
class LoggedStep:
    """One step's state, as an event reports it."""

    saga: UUID
    step: str
    outcome: StepState
    content: dict[str, Any] | None


def merge_entries(entries: Iterable[LoggedStep]) -> list[LoggedStep]:
    """Raise the log where the entries say more (rule 16, the saga log); return the entries that changed it."""
    best: dict[tuple[UUID, str], LoggedStep] = {}
    for entry in entries:
        known = best.setdefault((entry.saga, entry.step), entry)
        if entry.outcome.rank > known.outcome.rank:
            best[entry.saga, entry.step] = entry
    if not best:
        return []
    rows = [
        SimpleNamespace(
            saga_id=entry.saga,
            name=entry.step,
            logged=entry.outcome.value,
            reply=entry.content if entry.outcome is StepState.DONE else None,
            refusal=entry.content if entry.outcome is StepState.REFUSED else None,
        )
        for entry in best.values()
    ]
    given = bulk.json_parameter(SagaStep, rows, ENTRY_COLUMNS)
    raised = fetch_all(merge_statement(connection.vendor), [given])
    return [best[to_uuid(saga), step] for saga, step in raised]


@functools.cache
def merge_statement(vendor: str) -> str:
    """One statement that locks the steps in the order of their keys and raises those that rank lower."""
    relation = bulk.json_relation(SagaStep, ENTRY_COLUMNS, vendor)
    locks = " FOR UPDATE OF step" if vendor == "postgresql" else ""
    return f"""
        WITH entry AS (
            SELECT step.id, given.logged, given.reply, given.refusal
            FROM saga_sagastep AS step
            JOIN {relation} ON step.saga_id = given.saga_id AND step.name = given.name
            ORDER BY step.id{locks}
        )
        UPDATE saga_sagastep SET
            logged = entry.logged,
            reply = COALESCE(entry.reply, saga_sagastep.reply),
            refusal = COALESCE(entry.refusal, saga_sagastep.refusal),
            updated_at = {NOW[vendor]}
        FROM entry
        WHERE saga_sagastep.id = entry.id
            AND (saga_sagastep.logged = '' OR (entry.logged = 'undone' AND saga_sagastep.logged <> 'undone'))
        RETURNING saga_sagastep.saga_id, saga_sagastep.name"""


to_uuid = SagaInstance._meta.get_field("id").to_python


def read_log(sagas: Sequence[SagaInstance]) -> dict[UUID, dict[str, StepState]]:
    """The states of the sagas' steps, by saga and step."""
    logs: dict[UUID, dict[str, StepState]] = {}
    found = SagaStep.objects.filter(saga__in=sagas).values_list("saga_id", "name", "logged")
    for saga, step, logged in found:
        logs.setdefault(saga, {})[step] = StepState(logged)
    return logs


def read_replies(sagas: Sequence[SagaInstance]) -> dict[UUID, dict[str, Any]]:
    """The replies of the steps that are done, by saga and step."""
    known: dict[UUID, dict[str, Any]] = {}
    done = SagaStep.objects.filter(saga__in=sagas, logged=StepState.DONE)
    for saga, step, reply in done.values_list("saga_id", "name", "reply"):
        known.setdefault(saga, {})[step] = reply
    return known
