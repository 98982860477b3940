"""Fences: whether a pivot ran is settled before anything is undone (rule 13)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery.exceptions import Ignore
from django.db import transaction

from celery_config.broker import topology
from celery_config.common.services import ORCHESTRATOR
from celery_config.messaging.barrier import store
from celery_config.messaging.barrier.actions import Answer, PendingCall, call, write_answers
from celery_config.messaging.barrier.compensations import caller_of
from celery_config.messaging.barrier.decisions import OnFence, on_fence
from celery_config.messaging.barrier.steps import FindHandler, Step, StepWrites, claimed, refusal_of
from celery_config.messaging.barrier.store import AnyRow
from celery_config.messaging.deliveries import Outcome
from celery_config.messaging.outbox import writing
from celery_config.messaging.states import Action

PIVOT_RAN, PIVOT_FENCED = (f"{ORCHESTRATOR}.{name}" for name in ("pivot_ran", "pivot_fenced"))


class Fence(Step):
    """A pivot's step that must not be done any more; its orchestrator is told which it is."""

    @classmethod
    def report(cls, told: Sequence[tuple[Any, AnyRow]]) -> None:
        """Promise the proof that the pivots ran, with their replies, or that they never will."""
        writing.add_tasks((step.saga, describe_fence(step, row)) for step, row in told)


def fence(messages: Sequence[Fence], pivot: str, find: FindHandler) -> list[Outcome]:
    """Make sure that pivots never run, or report that they ran.

    Args:
        messages: the pivots' steps, of one class.
        pivot: the wire name of the pivot's command, for the tombstone.
        find: gives its handler, with which an open intent is settled.

    Returns:
        Of each the pivot's refusal, by step, if it was refused; `Ignore` if it ran, which ends the chain; or the call
        that settles it.
    """
    return [
        call(PendingCall(caller_of(find, row), step, row.request), row.key, settle_fences)
        if decision is OnFence.SETTLE_FIRST
        else outcome(row, decision is OnFence.RAN)
        for step, row, decision in begin(messages, pivot)
    ]


def begin(messages: Sequence[Fence], pivot: str) -> list[tuple[Fence, AnyRow, OnFence]]:
    """First transaction: a tombstone if the pivot never ran, word of it if it did."""
    rows = {
        step.key: store.new_row(step.key, step.saga, step.name, pivot, action=Action.TOMBSTONE)
        for step in messages
    }
    with transaction.atomic():
        begun = claimed(messages, rows, on_fence)
        known = [(step, row) for step, row, decision in begun if decision is not OnFence.SETTLE_FIRST]
        messages[0].report(known)
    return begun


def settle_fences(pairs: Sequence[tuple[PendingCall, Answer]]) -> list[Outcome]:
    """Write what the repeated calls of pivots brought to light, and report those that ran."""
    written = StepWrites()
    with transaction.atomic():
        rows = store.lock([asked.step.key for asked, _ in pairs])
        write_answers(pairs, rows, written)
        written.write()
        told: list[tuple[Any, AnyRow]] = [(asked.step, rows[asked.step.key]) for asked, _ in pairs]
        told[0][0].report(told)
    return [outcome(row, row.action == Action.DONE) for _, row in told]


def describe_fence(step: Step, row: AnyRow) -> dict[str, Any]:
    ran = row.action == Action.DONE
    return {
        "task": PIVOT_RAN if ran else PIVOT_FENCED,
        "args": [],
        "kwargs": {"saga": str(step.saga), "step": step.name, **({"reply": row.reply} if ran else {})},
        "options": {
            **topology.commands_to(ORCHESTRATOR),
            **topology.shown(saga=step.saga, step=step.name, subject=step.subject),
        },
    }


def outcome(row: AnyRow, ran: bool) -> Outcome:
    """The chain of a saga whose pivot ran ends here."""
    return Ignore(f"{row.step} of saga {row.saga} ran") if ran else refusal_of(row)
