"""Saga log: the latest known state of every step; it only rises (rule 16, the saga log).

The log is a hint fed by participants' events; their barriers are the truth.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol, TypeVar
from uuid import UUID

from django.db import connection

from celery_config.db import bulk
from celery_config.db.functions import NOW, fetch_all
from celery_config.saga.course import Known
from celery_config.saga.dsl import StepKind
from celery_config.saga.models import SagaInstance, SagaStep
from celery_config.saga.states import StepState

R = TypeVar("R", bound="StepReport")
ENTRY_COLUMNS = ("saga", "name", "logged", "reply", "refusal", "command")


@dataclass(frozen=True)
class LoggedStep:
    """One step's state, as its participant reports it."""

    saga: UUID
    step: str
    outcome: StepState
    content: dict[str, Any] | None
    service: str = ""
    """Who says so: the entry counts for a step of this service alone. Empty: it is proved otherwise."""


class StepReport(Protocol):
    """A service's message about a step."""

    @property
    def saga(self) -> UUID: ...
    @property
    def step(self) -> str: ...
    @property
    def service(self) -> str: ...


def merge_entries(entries: Iterable[LoggedStep]) -> list[LoggedStep]:
    """Raise the log where the entries say more (rule 16, the saga log); return the entries that changed it.

    What one service says of a step never stands for what another says of it in the same batch.
    """
    best: dict[tuple[UUID, str, str], LoggedStep] = {}
    # What was said of an action that is undone in the same batch is kept: it tells what was undone from what never ran.
    told: dict[tuple[UUID, str, str, StepState], Any] = {}
    for entry in entries:
        told[entry.saga, entry.step, entry.service, entry.outcome] = entry.content
        known = best.setdefault((entry.saga, entry.step, entry.service), entry)
        if entry.outcome.rank > known.outcome.rank:
            best[entry.saga, entry.step, entry.service] = entry
    if not best:
        return []
    rows = [
        SimpleNamespace(
            saga_id=entry.saga,
            name=entry.step,
            logged=entry.outcome.value,
            reply=told.get((entry.saga, entry.step, entry.service, StepState.DONE)),
            refusal=told.get((entry.saga, entry.step, entry.service, StepState.REFUSED)),
            command=own_commands(entry.service),
        )
        for entry in best.values()
    ]
    given = bulk.json_parameter(SagaStep, rows, ENTRY_COLUMNS)
    raised = fetch_all(merge_statement(connection.vendor), [given])
    about = [(to_uuid(saga), step, command.partition(".")[0]) for saga, step, command in raised]
    return [best.get((saga, step, owner)) or best[saga, step, ""] for saga, step, owner in about]


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
                AND substr(step.command, 1, length(given.command)) = given.command
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
        RETURNING saga_sagastep.saga_id, saga_sagastep.name, saga_sagastep.command"""


def find_done_pivots(sagas: Iterable[UUID]) -> set[UUID]:
    """The sagas whose pivot the log knows as done."""
    done = SagaStep.objects.filter(saga__in=list(sagas), kind=StepKind.PIVOT.value, logged=StepState.DONE)
    return set(done.values_list("saga_id", flat=True))


def keep_own(reports: Sequence[R]) -> list[R]:
    """The reports about steps of the services that make them."""
    found = SagaStep.objects.filter(saga__in={each.saga for each in reports})
    commands = {
        (saga, name): command for saga, name, command in found.values_list("saga_id", "name", "command")
    }
    return [
        each
        for each in reports
        if commands.get((each.saga, each.step), "").startswith(own_commands(each.service))
    ]


to_uuid = SagaInstance._meta.get_field("id").to_python


def own_commands(service: str) -> str:
    """What the names of a service's commands begin with; empty for any service."""
    return f"{service}." if service else ""


def read_log(sagas: Sequence[SagaInstance]) -> dict[UUID, dict[str, StepState]]:
    """The states of the sagas' steps, by saga and step."""
    logs: dict[UUID, dict[str, StepState]] = {}
    found = SagaStep.objects.filter(saga__in=sagas).values_list("saga_id", "name", "logged")
    for saga, step, logged in found:
        logs.setdefault(saga, {})[step] = StepState(logged)
    return logs


def read_known(sagas: Sequence[SagaInstance]) -> dict[UUID, dict[str, Known]]:
    """What is known of the sagas' steps, by saga and step."""
    found: dict[UUID, dict[str, Known]] = {}
    fields = ("saga_id", "name", "logged", "reply", "refusal", "failure", "updated_at")
    # No row becomes an object: a page of many flows reads thousands.
    steps = SagaStep.objects.filter(saga__in=sagas).order_by("saga", "position").values_list(*fields)
    for saga, name, logged, reply, refusal, failure, at in steps:
        found.setdefault(saga, {})[name] = Known(
            StepState(logged), reply, ran=reply is not None, refusal=refusal, failure=failure, at=at
        )
    return found


def read_replies(sagas: Sequence[SagaInstance]) -> dict[UUID, dict[str, Any]]:
    """The replies of the steps that are done, by saga and step."""
    known: dict[UUID, dict[str, Any]] = {}
    done = SagaStep.objects.filter(saga__in=sagas, logged=StepState.DONE)
    for saga, step, reply in done.values_list("saga_id", "name", "reply"):
        known.setdefault(saga, {})[step] = reply
    return known
