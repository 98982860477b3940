"""Undos: what the action did, or may have done, is undone once; an action that never ran never will (rule 7, the undo).

undo_actions ── open_undos ─┬─ the undo's call ── finish_undos ── store_undo_answers
                            └─ the action's call again, in doubt ── finish_doubts ── the undo
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction

from celery_config.contracts.base import encode
from celery_config.errors import Refused
from celery_config.messaging.barrier import store
from celery_config.messaging.barrier.actions import (
    AnsweredCalls,
    PendingCall,
    find_calling_handler,
    prepare_call,
    run_settle,
)
from celery_config.messaging.barrier.decisions import OnUndo, on_undo
from celery_config.messaging.barrier.steps import FindHandler, Handler, StepRequest, StepWrites, claim_steps
from celery_config.messaging.barrier.store import AnyRow
from celery_config.messaging.deliveries import Call, Outcome
from celery_config.messaging.states import Action, Undo


@dataclass(frozen=True)
class DoubtfulCall(PendingCall):
    """The repeated call of an action that is to be undone; `handler` is the action's."""

    undo: Handler = field(kw_only=True)


def undo_actions(handler: Handler, steps: Sequence[StepRequest], find: FindHandler) -> list[Outcome]:
    """Undo actions, in this service's own database or outside.

    Args:
        handler: the undo's.
        steps: the undos.
        find: gives the action's handler, whose call is repeated first where an intent is open: "not found" at the
            provider never settles a doubt (rule 8, effects outside).

    Returns:
        For each the refusal of its action, by step, if that was refused; or the call it needs.

    Raises:
        RuntimeError: the handler refused. An undo may not (rule 6, outcomes): nothing is stored and it is tried again.
    """
    opened = open_undos(handler, steps)
    calls = prepare_undo_calls(handler, [step for step, _, decision in opened if decision is OnUndo.UNDO])
    for step, row, decision in opened:
        if decision is OnUndo.SETTLE_FIRST:
            action = find_calling_handler(find, row.command)
            doubt = DoubtfulCall(action, step, row.request, row.created_at, undo=handler)
            calls[step.key] = prepare_call(doubt, row.key, finish_doubts)
    return [calls.get(step.key) or store.stored_refusal(row) for step, row, _ in opened]


def open_undos(handler: Handler, steps: Sequence[StepRequest]) -> list[tuple[StepRequest, AnyRow, OnUndo]]:
    """First transaction of undos: the tombstone, the local undo itself, or the open undo intent (rule 7, the undo)."""
    rows = {step.key: step.new_row("", Action.TOMBSTONE, undo=Undo.DONE) for step in steps}
    with transaction.atomic():
        opened = claim_steps(steps, rows, on_undo)
        writes = StepWrites({step.key: row for step, row, _ in opened})
        run_local_undos(handler, [step for step, _, decision in opened if decision is OnUndo.UNDO])
        for step, _, decision in opened:
            is_open = decision is OnUndo.SETTLE_FIRST or (decision is OnUndo.UNDO and not handler.local)
            if is_open:
                writes.update(step, undo=Undo.INTENT)
            elif decision is not OnUndo.REPEAT:
                writes.mark_undone(step)
        writes.flush()
    return opened


def run_local_undos(handler: Handler, steps: Sequence[StepRequest]) -> None:
    """Let the handler undo in this service's own database, if that is where it undoes."""
    if steps and handler.local:
        for outcome in handler.run(steps):
            if isinstance(outcome, Refused):
                raise handler.forbidden_refusal() from outcome


def prepare_undo_calls(handler: Handler, steps: Sequence[StepRequest]) -> dict[UUID, Call]:
    """The calls that undo at a provider, by key of the barrier row; none for a local undo."""
    if handler.outside is None or not steps:
        return {}
    requests = handler.make_requests(steps)
    return {
        step.key: prepare_call(PendingCall(handler, step, request), step.id, finish_undos)
        for step, request in zip(steps, requests, strict=True)
    }


def finish_undos(answered: AnsweredCalls) -> list[Outcome]:
    handler = answered[0][0].handler
    with StepWrites.over(pending.step for pending, _ in answered) as writes:
        store_undo_answers([pair for pair in answered if not isinstance(pair[1], Refused)], writes)
    return [
        handler.forbidden_refusal()
        if isinstance(answer, Refused)
        else store.stored_refusal(writes.rows[pending.step.key])
        for pending, answer in answered
    ]


def store_undo_answers(answered: Sequence[tuple[PendingCall, Any]], writes: StepWrites) -> None:
    """Store the answers of undos; one that a webhook or an operator told before is only announced."""
    fresh = [pair for pair in answered if writes.rows[pair[0].step.key].undo != Undo.DONE]
    for pending, answer in answered:
        if writes.rows[pending.step.key].undo == Undo.DONE:
            writes.events += pending.step.build_reannouncements(answer)
    if not fresh:
        return
    handler = fresh[0][0].handler
    assert handler.outside is not None
    handler.outside.settle([(pending.request, answer) for pending, answer in fresh])
    for pending, _ in fresh:
        writes.mark_undone(pending.step)


def finish_doubts(answered: Sequence[tuple[DoubtfulCall, dict[str, Any] | Refused]]) -> list[Outcome]:
    """Store what the repeated calls of actions found out; what turned out done is undone next."""
    undo_next: list[StepRequest] = []
    done: list[tuple[DoubtfulCall, Any]] = []
    with StepWrites.over(pending.step for pending, _ in answered) as writes:
        for pending, answer in answered:
            row = writes.rows[pending.step.key]
            if row.undo == Undo.DONE:
                writes.events += pending.step.build_reannouncements({})
                continue
            if isinstance(answer, Refused) and row.action != Action.DONE:
                writes.update(pending.step, action=Action.REFUSED)
                writes.mark_undone(pending.step)
                continue
            undo_next.append(pending.step)
            if row.action == Action.INTENT:
                done.append((pending, answer))
        for (pending, _), reply in zip(done, run_settle(done), strict=True):
            writes.update(pending.step, action=Action.DONE, reply=encode(reply))
    handler = answered[0][0].undo
    if undo_next and handler.local:
        open_undos(handler, undo_next)
    calls = prepare_undo_calls(handler, undo_next)
    keys = [pending.step.key for pending, _ in answered]
    return [calls.get(key) or store.stored_refusal(writes.rows[key]) for key in keys]
