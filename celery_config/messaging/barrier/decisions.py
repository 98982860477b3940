"""The barrier's decisions: what its row means for each kind of message, as one truth table. Pure.

One row stands for one step of one saga: `action` is the outcome of the step, `undo` that of its compensation. The
pattern is the barrier of DTM (https://dtm.pub: empty, repeated and late compensations are harmless), with the intent
added for effects outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from celery_config.messaging.states import Action, Undo


@dataclass(frozen=True)
class Row:
    action: Action
    undo: Undo = Undo.NONE
    command_hash: str = ""


class OnAction(StrEnum):
    RUN = "run"
    CALL_AGAIN = "call again"  # an intent without a result: repeat the call with the same key
    REPLY_AGAIN = "reply again"
    REFUSE_AGAIN = "refuse again"
    OUTLIVED = "outlived"
    CONFLICT = "conflict"


class OnResult(StrEnum):
    WRITE = "write"
    KNOWN = "known"
    TOO_LATE = "too late"


class OnNotification(StrEnum):
    WRITE = "write"
    KNOWN = "known"
    CONTRADICTS = "contradicts"  # the row says that the call was never made, or ended otherwise


class OnUndo(StrEnum):
    TOMBSTONE = "tombstone"
    REPEAT = "repeat"
    NOTHING_TO_UNDO = "nothing to undo"
    UNDO = "undo"
    SETTLE_FIRST = "settle first"  # doubt: repeat the action's call, then undo what it did


class OnFence(StrEnum):
    NEVER = "never"  # it did not run and, because of the tombstone, never will
    RAN = "ran"
    SETTLE_FIRST = "settle first"


def on_action(row: Row | None, command_hash: str) -> OnAction:
    """What to do with an action's message; `row` is None when this message made the row."""
    if row is None:
        return OnAction.RUN
    if row.action is Action.TOMBSTONE or row.undo is Undo.DONE:
        # A refusal stays one: there was nothing to undo, and the one who asks again has missed it.
        is_refused = row.action is Action.REFUSED and row.command_hash == command_hash
        return OnAction.REFUSE_AGAIN if is_refused else OnAction.OUTLIVED
    if row.command_hash != command_hash:
        return OnAction.CONFLICT
    if row.action is Action.DONE:
        return OnAction.REPLY_AGAIN
    if row.action is Action.REFUSED:
        return OnAction.REFUSE_AGAIN
    return OnAction.CALL_AGAIN


def on_result(row: Row, *, done: bool) -> OnResult:
    """What to do with a call's answer: it is stored only over an open intent (rule 8, effects outside).

    A webhook or an operator may have told it before; then it is known.
    """
    if row.action is Action.INTENT and row.undo is not Undo.DONE:
        return OnResult.WRITE
    known = Action.DONE if done else Action.REFUSED
    return OnResult.KNOWN if row.action is known and row.undo is Undo.NONE else OnResult.TOO_LATE


def on_notification(row: Row | None, *, done: bool) -> OnNotification:
    """What to do when a webhook says how an action's call ended; `row` is None when no call was made.

    As with the call's own answer, only an open intent is written over. An event that says what the row says is known,
    even if the action was undone since.
    """
    if row is None:
        return OnNotification.CONTRADICTS
    if on_result(row, done=done) is OnResult.WRITE:
        return OnNotification.WRITE
    is_known = row.action is (Action.DONE if done else Action.REFUSED)
    return OnNotification.KNOWN if is_known else OnNotification.CONTRADICTS


def on_undo(row: Row | None) -> OnUndo:
    """What to do with an undo's message; `row` is None when this message made the (tombstone) row."""
    if row is None:
        return OnUndo.TOMBSTONE
    if row.undo is Undo.DONE:
        return OnUndo.REPEAT
    if row.action in (Action.REFUSED, Action.TOMBSTONE):
        return OnUndo.NOTHING_TO_UNDO
    return OnUndo.UNDO if row.action is Action.DONE else OnUndo.SETTLE_FIRST


def on_fence(row: Row | None) -> OnFence:
    """What to do with the pivot's fence; `row` is None when this message made the (tombstone) row."""
    if row is None or row.action in (Action.REFUSED, Action.TOMBSTONE):
        return OnFence.NEVER
    return OnFence.RAN if row.action is Action.DONE else OnFence.SETTLE_FIRST


def is_lost(row: Row | None, *, known_done: bool) -> bool:
    """Whether a missing row proves that the database was set back, and not that the action never ran.

    Args:
        known_done: the sender knows that the action was done; that was said in the transaction that wrote the row.
    """
    return known_done and row is None
