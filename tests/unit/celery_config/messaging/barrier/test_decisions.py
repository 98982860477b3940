"""The barrier's truth table, row by row: what each message finds, and what it then does.

The columns are the states a row can be in: the action's outcome, then its undo's. `-` is no row yet.
"""

from __future__ import annotations

import pytest

from celery_config.messaging.barrier.decisions import (
    OnAction,
    OnFence,
    OnNotification,
    OnResult,
    OnUndo,
    Row,
    on_action,
    on_fence,
    on_notification,
    on_result,
    on_undo,
)
from celery_config.messaging.states import Action, Undo

HASH = "a" * 64


def row(text: str) -> Row | None:
    """`done/intent` -> its row."""
    if text == "-":
        return None
    action, _, undo = text.partition("/")
    return Row(Action(action), Undo(undo), HASH)


ACTION = {
    "-": OnAction.RUN,
    "intent": OnAction.CALL_AGAIN,
    "intent/intent": OnAction.CALL_AGAIN,
    "intent/done": OnAction.OUTLIVED,
    "done": OnAction.REPLY_AGAIN,
    "done/intent": OnAction.REPLY_AGAIN,
    "done/done": OnAction.OUTLIVED,
    "refused": OnAction.REFUSE_AGAIN,
    "refused/intent": OnAction.REFUSE_AGAIN,
    "refused/done": OnAction.REFUSE_AGAIN,
    "tombstone": OnAction.OUTLIVED,
    "tombstone/intent": OnAction.OUTLIVED,
    "tombstone/done": OnAction.OUTLIVED,
}
RESULT = {
    # what was there: (when the call's answer is "done", when it is a refusal)
    "intent": (OnResult.WRITE, OnResult.WRITE),
    "intent/intent": (OnResult.WRITE, OnResult.WRITE),
    "intent/done": (OnResult.TOO_LATE, OnResult.TOO_LATE),
    "done": (OnResult.KNOWN, OnResult.TOO_LATE),
    "done/intent": (OnResult.TOO_LATE, OnResult.TOO_LATE),
    "done/done": (OnResult.TOO_LATE, OnResult.TOO_LATE),
    "refused": (OnResult.TOO_LATE, OnResult.KNOWN),
    "refused/intent": (OnResult.TOO_LATE, OnResult.TOO_LATE),
    "refused/done": (OnResult.TOO_LATE, OnResult.TOO_LATE),
    "tombstone": (OnResult.TOO_LATE, OnResult.TOO_LATE),
    "tombstone/intent": (OnResult.TOO_LATE, OnResult.TOO_LATE),
    "tombstone/done": (OnResult.TOO_LATE, OnResult.TOO_LATE),
}
HINT = {
    # what was there: (when an event says "done", when it says "refused")
    "-": (OnNotification.CONTRADICTS, OnNotification.CONTRADICTS),
    "intent": (OnNotification.WRITE, OnNotification.WRITE),
    "intent/intent": (OnNotification.WRITE, OnNotification.WRITE),
    "intent/done": (OnNotification.CONTRADICTS, OnNotification.CONTRADICTS),
    "done": (OnNotification.KNOWN, OnNotification.CONTRADICTS),
    "done/intent": (OnNotification.KNOWN, OnNotification.CONTRADICTS),
    "done/done": (OnNotification.KNOWN, OnNotification.CONTRADICTS),
    "refused": (OnNotification.CONTRADICTS, OnNotification.KNOWN),
    "refused/intent": (OnNotification.CONTRADICTS, OnNotification.KNOWN),
    "refused/done": (OnNotification.CONTRADICTS, OnNotification.KNOWN),
    "tombstone": (OnNotification.CONTRADICTS, OnNotification.CONTRADICTS),
    "tombstone/intent": (OnNotification.CONTRADICTS, OnNotification.CONTRADICTS),
    "tombstone/done": (OnNotification.CONTRADICTS, OnNotification.CONTRADICTS),
}
UNDO = {
    "-": OnUndo.TOMBSTONE,
    "intent": OnUndo.SETTLE_FIRST,
    "intent/intent": OnUndo.SETTLE_FIRST,
    "intent/done": OnUndo.REPEAT,
    "done": OnUndo.UNDO,
    "done/intent": OnUndo.UNDO,
    "done/done": OnUndo.REPEAT,
    "refused": OnUndo.NOTHING_TO_UNDO,
    "refused/intent": OnUndo.NOTHING_TO_UNDO,
    "refused/done": OnUndo.REPEAT,
    "tombstone": OnUndo.NOTHING_TO_UNDO,
    "tombstone/intent": OnUndo.NOTHING_TO_UNDO,
    "tombstone/done": OnUndo.REPEAT,
}
FENCE = {  # a pivot has no undo
    "-": OnFence.NEVER,
    "intent": OnFence.SETTLE_FIRST,
    "done": OnFence.RAN,
    "refused": OnFence.NEVER,
    "tombstone": OnFence.NEVER,
}
STATES = {f"{a.value}/{u.value}".rstrip("/") for a in Action for u in Undo}


def test_the_tables_are_whole() -> None:
    assert STATES | {"-"} == set(ACTION) == set(UNDO) == set(HINT)
    assert set(RESULT) == STATES
    assert {a.value for a in Action} | {"-"} == set(FENCE)


@pytest.mark.parametrize(("found", "then"), list(ACTION.items()))
def test_an_action(found: str, then: OnAction) -> None:
    """Rule 6 (outcomes)."""
    assert on_action(row(found), HASH) is then


@pytest.mark.parametrize("found", sorted(STATES))
def test_an_action_with_other_contents(found: str) -> None:
    """Rule 5 (the barrier): a conflict, unless the step is over for good."""
    outlived = ACTION[found] is OnAction.OUTLIVED or found == "refused/done"
    assert on_action(row(found), "b" * 64) is (OnAction.OUTLIVED if outlived else OnAction.CONFLICT)


@pytest.mark.parametrize(("found", "then"), list(RESULT.items()))
def test_the_result_of_a_call(found: str, then: tuple[OnResult, OnResult]) -> None:
    """Rule 8 (effects outside): it is written only over an open intent."""
    there = row(found)
    assert there is not None
    assert (on_result(there, done=True), on_result(there, done=False)) == then


@pytest.mark.parametrize(("found", "then"), list(HINT.items()))
def test_an_event_from_outside(found: str, then: tuple[OnNotification, OnNotification]) -> None:
    """Rule 8 (effects outside): a hint is written only over an open intent, and what cannot be is never believed."""
    assert (on_notification(row(found), done=True), on_notification(row(found), done=False)) == then


@pytest.mark.parametrize(("found", "then"), list(UNDO.items()))
def test_an_undo(found: str, then: OnUndo) -> None:
    """Rule 7 (the undo)."""
    assert on_undo(row(found)) is then


@pytest.mark.parametrize(("found", "then"), list(FENCE.items()))
def test_a_fence(found: str, then: OnFence) -> None:
    """Rule 13 (the fence)."""
    assert on_fence(row(found)) is then
