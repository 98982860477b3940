"""Undos: whatever the action did, or may have done, is undone once; what never ran, never will (rules 7 and 8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from celery_config.contracts.base import encode
from celery_config.errors import Refused
from celery_config.messaging.barrier import store
from celery_config.messaging.barrier.actions import Answer, PendingCall, prepare_call, run_settle
from celery_config.messaging.barrier.decisions import OnUndo, on_undo
from celery_config.messaging.barrier.steps import (
    FindHandler,
    Handler,
    Step,
    StepWrites,
    claim_steps,
    forbidden_refusal,
    stored_refusal,
)
from celery_config.messaging.barrier.store import AnyRow
from celery_config.messaging.deliveries import Call, Outcome
from celery_config.messaging.states import Action, Undo


@dataclass(frozen=True)
class DoubtfulCall(PendingCall):
    """The repeated call of an action that is to be undone; `handler` is the action's."""

    undo: Handler


def undo_actions(handler: Handler, messages: Sequence[Step], find: FindHandler) -> list[Outcome]:
    """Undo actions, wherever their effects and their compensations are.

    Args:
        handler: the undo's.
        messages: the undos'.
        find: gives the action's handler by its command's name, with which an open intent is settled first.

    Returns:
        Of each the refusal of its action, by step, if that was refused; or the call it needs.

    Raises:
        RuntimeError: the handler refused. An undo may not (rule 6): nothing is stored and it is tried again.
    """
    begun = open_undos(handler, messages)
    calls = prepare_undo_calls(handler, [step for step, _, decision in begun if decision is OnUndo.UNDO])
    for step, row, decision in begun:
        if decision is OnUndo.SETTLE_FIRST:
            calls[step.key] = repeat_action_call(handler, find, step, row)
    return [calls.get(step.key) or stored_refusal(row) for step, row, _ in begun]


def open_undos(handler: Handler, messages: Sequence[Step]) -> list[tuple[Step, AnyRow, OnUndo]]:
    """First transaction of undos: the tombstone, or the local undo itself, or the open undo intent (rule 7)."""
    rows = {
        step.key: store.new_row(step.key, step.saga, step.name, "", action=Action.TOMBSTONE, undo=Undo.DONE)
        for step in messages
    }
    written = StepWrites()
    with transaction.atomic():
        begun = claim_steps(messages, rows, on_undo)
        undo_here = [step for step, _, decision in begun if decision is OnUndo.UNDO and handler.local]
        if undo_here:
            assert handler.local is not None
            check_undone(handler, handler.local([step.command for step in undo_here]))
        for step, row, decision in begun:
            match decision:
                case OnUndo.TOMBSTONE | OnUndo.NOTHING_TO_UNDO:
                    written.undone(step, row)
                case OnUndo.UNDO if handler.local:
                    written.undone(step, row)
                case OnUndo.UNDO | OnUndo.SETTLE_FIRST:
                    written.set(row, undo=Undo.INTENT.value)
        written.write()
    return begun


def check_undone(handler: Handler, outcomes: Iterable[Any]) -> None:
    """Raise when one of them was refused: an undo may not be."""
    for outcome in outcomes:
        if isinstance(outcome, Refused):
            raise forbidden_refusal(handler) from outcome


def prepare_undo_calls(handler: Handler, messages: Sequence[Step]) -> dict[UUID, Call]:
    """The calls that undo at a provider, by key of the barrier row; none for a local undo."""
    if handler.outside is None or not messages:
        return {}
    requests = handler.outside.requests([step.command for step in messages])
    return {
        step.key: prepare_call(PendingCall(handler, step, request), step.id, finish_undos)
        for step, request in zip(messages, requests, strict=True)
    }


def finish_undos(pairs: Sequence[tuple[PendingCall, Answer]]) -> list[Outcome]:
    """Write the answers of undos, unless they are written."""
    written = StepWrites()
    handler = pairs[0][0].handler
    with transaction.atomic():
        rows = store.lock_rows([asked.step.key for asked, _ in pairs])
        store_undo_answers([pair for pair in pairs if not isinstance(pair[1], Refused)], rows, written)
        written.write()
    return [
        forbidden_refusal(handler) if isinstance(answer, Refused) else stored_refusal(rows[asked.step.key])
        for asked, answer in pairs
    ]


def store_undo_answers(
    pairs: Sequence[tuple[PendingCall, Any]], rows: Mapping[UUID, AnyRow], written: StepWrites
) -> None:
    """Collect what the answers of undos change."""
    fresh = [(asked, answer) for asked, answer in pairs if rows[asked.step.key].undo != Undo.DONE]
    if not fresh:
        return
    handler = fresh[0][0].handler
    assert handler.outside is not None
    handler.outside.settle([(asked.request, answer) for asked, answer in fresh])
    for asked, _ in fresh:
        written.undone(asked.step, rows[asked.step.key])


def repeat_action_call(handler: Handler, find: FindHandler, step: Step, row: AnyRow) -> Call:
    """The action's call once more, with its key and its stored request: doubt is never settled by "not found"."""
    return prepare_call(
        DoubtfulCall(find_calling_handler(find, row), step, row.request, handler), row.key, finish_doubts
    )


def find_calling_handler(find: FindHandler, row: AnyRow) -> Handler:
    """The handler that left the open intent of this row."""
    handler = find(row.command)
    if handler is None or handler.outside is None:
        raise RuntimeError(f"{row.command} left an intent, but no handler with a call is registered for it")
    return handler


def finish_doubts(pairs: Sequence[tuple[DoubtfulCall, Answer]]) -> list[Outcome]:
    """Write what the repeated calls of actions brought to light; what turned out done is undone next."""
    written = StepWrites()
    undo_next: list[Step] = []
    done: list[tuple[DoubtfulCall, Any]] = []
    with transaction.atomic():
        rows = store.lock_rows([asked.step.key for asked, _ in pairs])
        for asked, answer in pairs:
            row = rows[asked.step.key]
            if row.undo == Undo.DONE:
                continue
            if isinstance(answer, Refused):
                written.set(row, action=Action.REFUSED.value)
                written.undone(asked.step, row)
                continue
            undo_next.append(asked.step)
            if row.action == Action.INTENT:
                done.append((asked, answer))
        for (asked, _), reply in zip(done, run_settle(done), strict=True):
            written.set(rows[asked.step.key], action=Action.DONE.value, reply=encode(reply))
        written.write()
    handler = pairs[0][0].undo
    if undo_next and handler.local:
        open_undos(handler, undo_next)
    calls = prepare_undo_calls(handler, undo_next)
    return [calls.get(asked.step.key) or stored_refusal(rows[asked.step.key]) for asked, _ in pairs]
