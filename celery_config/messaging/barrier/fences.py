"""Fences: before anything is undone it is certain that the pivot did not run, and never will (rule 13, the fence)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery.exceptions import Ignore
from django.db import transaction

from celery_config.common.services import ORCHESTRATOR
from celery_config.messaging.barrier import store
from celery_config.messaging.barrier.actions import (
    AnsweredCalls,
    PendingCall,
    find_calling_handler,
    prepare_call,
    store_answers,
)
from celery_config.messaging.barrier.decisions import OnFence, on_fence
from celery_config.messaging.barrier.steps import FindHandler, StepRequest, StepWrites, claim_steps
from celery_config.messaging.barrier.store import AnyRow
from celery_config.messaging.deliveries import Outcome
from celery_config.messaging.outbox import writing
from celery_config.messaging.states import Action

PIVOT_RAN, PIVOT_FENCED = (f"{ORCHESTRATOR}.{name}" for name in ("pivot_ran", "pivot_fenced"))


class Fence(StepRequest):
    """The step of a pivot that must not run any more; its orchestrator learns whether it ran before."""

    @property
    def needs_a_row(self) -> bool:
        return True

    @classmethod
    def report(cls, decided: Sequence[tuple[Any, AnyRow]]) -> None:
        """Promise the messages that say which pivots ran, with their replies, and which never will."""
        writing.add_tasks((step.saga, fence_message(step, row)) for step, row in decided)


def fence_pivots(steps: Sequence[Fence], pivot: str, find: FindHandler) -> list[Outcome]:
    """Make sure that pivots never run, or report that they ran.

    Args:
        steps: the pivots' steps, of one class.
        pivot: the wire name of the pivot's command, for the tombstone.
        find: gives its handler, whose call is repeated where an intent is open.

    Returns:
        For each the pivot's refusal, by step, if it was refused; `Ignore` if it ran, which ends the chain; or the call
        that settles the doubt.
    """
    return [
        prepare_call(
            PendingCall(find_calling_handler(find, row.command), step, row.request, row.created_at),
            row.key,
            finish_fences,
        )
        if decision is OnFence.SETTLE_FIRST
        else fence_outcome(row, decision is OnFence.RAN)
        for step, row, decision in claim_pivots(steps, pivot)
    ]


def claim_pivots(steps: Sequence[Fence], pivot: str) -> list[tuple[Fence, AnyRow, OnFence]]:
    """First transaction: a tombstone where the pivot never ran, and the report of all that is certain."""
    rows = {step.key: step.new_row(pivot, Action.TOMBSTONE) for step in steps}
    with transaction.atomic():
        claimed = claim_steps(steps, rows, on_fence)
        certain = [(s, row) for s, row, decision in claimed if decision is not OnFence.SETTLE_FIRST]
        steps[0].report(certain)
    return claimed


@transaction.atomic
def finish_fences(answered: AnsweredCalls) -> list[Outcome]:
    """Store what the repeated calls of pivots found out, and report it."""
    with StepWrites.over(pending.step for pending, _ in answered) as writes:
        store_answers(answered, writes)
    decided: list[tuple[Any, AnyRow]] = [
        (pending.step, writes.rows[pending.step.key]) for pending, _ in answered
    ]
    decided[0][0].report(decided)
    return [fence_outcome(row, row.action == Action.DONE) for _, row in decided]


def fence_message(step: StepRequest, row: AnyRow) -> dict[str, Any]:
    ran = row.action == Action.DONE
    return step.build_report(PIVOT_RAN, {"reply": row.reply}) if ran else step.build_report(PIVOT_FENCED, {})


def fence_outcome(row: AnyRow, ran: bool) -> Outcome:
    """The chain of a saga whose pivot ran ends here."""
    return Ignore(f"{row.step} of saga {row.saga} ran") if ran else store.stored_refusal(row)
