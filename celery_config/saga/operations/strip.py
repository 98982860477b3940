"""The strip of a flow: where each of its steps stands, and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from celery_config.common.moments import format_span
from celery_config.contracts.base import TOLD_SINGLY
from celery_config.messaging.states import Action, Undo
from celery_config.saga.causes import WITHOUT_REASON, describe_refusal
from celery_config.saga.course import Answer
from celery_config.saga.dsl import Step, StepKind
from celery_config.saga.flow_facts import (
    FlowFacts,
    StepFacts,
    Try,
    describe_step_failure,
    find_next,
    find_try,
    is_going_back,
    is_past_pivot,
    is_refusal,
    list_begun,
)
from celery_config.saga.operations.wording import describe_times, format_ordinal
from celery_config.saga.states import Status, StepState


class CellState(StrEnum):
    """Where a step stands, in the words that a page shows."""

    DONE = "done"
    CALLING = "calling now"
    UNDOING = "undoing now"
    REFUSED = "refused"
    UNDONE = "undone"
    NEVER_RAN = "never ran"
    NOT_YET = "not yet"
    HELD = "held"
    """Done, and not known to be undone yet, of a flow that is undone or waits for a decision."""
    IN_DOUBT = "in doubt"
    """It was asked for, and its result is not known; nothing asks again by itself."""


# What may be tried again at this moment.
ASKED = (CellState.CALLING, CellState.UNDOING, CellState.IN_DOUBT)


@dataclass(frozen=True)
class Cell:
    """One step in a strip."""

    name: str
    label: str
    """What it does: "authorize the payment"."""
    service: str
    state: CellState
    reason: str = ""
    is_pivot: bool = False
    """Whether it is the point of no return."""
    at: datetime | None = None
    tries: str = ""
    """Which of its tries was the last that failed, or is made now: "third try". Empty: it is the first."""
    next_at: datetime | None = None
    """When it is tried again; None: it is tried now, or is not tried again by itself."""

    def describe_state(self, now: datetime) -> str:
        """Return "calling now (third try, next in 12 s)"."""
        if not self.tries:
            return self.state.value
        following = f", next in {format_span(self.next_at - now)}" if self.next_at else ""
        return f"{self.state.value} ({self.tries}{following})"


def draw_strip(flow: FlowFacts) -> list[Cell]:
    """Return each step with where it stands and why."""
    waits_for, undo = find_next(flow)
    cells = []
    for step in flow.steps:
        state = find_state(flow, step, is_next=step is waits_for, undo=undo)
        tried = find_try(flow, step, undo=undo) if state in ASKED else None
        is_called = state is not CellState.IN_DOUBT
        cells.append(
            Cell(
                step.name,
                step.phrase,
                step.service,
                state,
                describe_step_failure(step, tried.failure) if tried else find_reason(step, state),
                is_pivot=step.kind is StepKind.PIVOT,
                at=step.at,
                **(describe_try(tried, flow.now) if tried and is_called else {}),
            )
        )
    return cells


def describe_try(tried: Try, now: datetime) -> dict[str, Any]:
    """Return the `tries` and `next_at` of a cell."""
    if tried.is_ahead(now):
        return {"tries": f"{format_ordinal(tried.number)} try", "next_at": tried.next_at}
    # Of many tries, not each is told.
    is_exact = tried.number < TOLD_SINGLY
    return {
        "tries": f"{format_ordinal(tried.number + 1)} try"
        if is_exact
        else f"after more than {tried.number} tries"
    }


def find_state(flow: FlowFacts, step: StepFacts, *, is_next: bool, undo: bool) -> CellState:
    begun = step in list_begun(flow) and not is_refused_by(step, flow.cause)
    match step.logged:
        case StepState.REFUSED:
            return CellState.REFUSED
        case StepState.UNDONE:
            return name_undone(step, begun=begun)
        case StepState.DONE if is_undone_next(flow, step):
            return CellState.UNDOING if is_next and flow.status is Status.STOPPING else CellState.HELD
        case StepState.DONE if flow.status is Status.COMPENSATED and step.kind is StepKind.COMPENSATABLE:
            # The end of the chain proves it, though its event may still be on its way.
            return CellState.UNDONE
        case StepState.DONE:
            return CellState.DONE
    if flow.status is Status.COMPLETED:
        # The end of the chain proves it here, too.
        return CellState.DONE
    if flow.status is Status.COMPENSATED:
        return name_undone(step, begun=begun)
    if is_going_back(flow):
        return find_state_back(flow, step, is_next=is_next, begun=begun)
    if flow.status is Status.PARKED:
        asked = step.failure is not None or is_next
        return CellState.IN_DOUBT if asked else CellState.NOT_YET
    return CellState.CALLING if is_next else CellState.NOT_YET


def find_state_back(flow: FlowFacts, step: StepFacts, *, is_next: bool, begun: bool) -> CellState:
    """Return where a step stands of which the log knows no end, of a flow that is undone."""
    stops = flow.status is Status.STOPPING
    if step.is_refused and stops:
        return CellState.REFUSED
    last = list_begun(flow)[-1]
    if is_next and stops and (begun or step.failure or find_try(flow, step, undo=True)):
        return CellState.UNDOING
    if step.failure:
        return CellState.IN_DOUBT
    if is_next and not (stops or (begun and step is not last)):
        return CellState.IN_DOUBT
    if not begun:
        may_run = last.kind is StepKind.PIVOT and last.logged is StepState.NOTHING
        return CellState.NOT_YET if may_run else CellState.NEVER_RAN
    if step is not last:
        return CellState.HELD  # the next one was asked for, so it is done
    return CellState.UNDOING if stops else CellState.IN_DOUBT


def correct_state(state: CellState, step: Step, answer: Answer, *, is_past: bool) -> CellState:
    """Return where a step stands once its service was asked: it knows better than we, who are told late or never.

    Args:
        state: as far as we know.
        answer: what the service says of all its steps.
        is_past: whether the flow is past its point of no return.
    """
    if answer is None:
        return state
    told = answer.get(step.name)
    if told is None:
        # What was done is not forgotten: a database that knows nothing of it was set back.
        return CellState.NOT_YET if state is CellState.IN_DOUBT else state
    if told.action is Action.TOMBSTONE:
        return CellState.NEVER_RAN
    if told.action is Action.REFUSED or told.undo is Undo.DONE:
        return CellState.REFUSED if told.action is Action.REFUSED else CellState.UNDONE
    if state in (CellState.CALLING, CellState.UNDOING):
        return state
    if told.action is Action.INTENT:
        return CellState.IN_DOUBT
    return CellState.DONE if is_past or not step.undo else CellState.HELD


def is_refused_by(step: StepFacts, cause: Mapping[str, Any]) -> bool:
    """Whether the cause is the step's refusal, which the log may not know yet."""
    return cause.get("step") == step.name and is_refusal(cause) and cause["code"] not in WITHOUT_REASON


def name_undone(step: StepFacts, *, begun: bool) -> CellState:
    """Return what became of a step of which nothing is left."""
    if step.is_refused:
        return CellState.REFUSED
    undone = step.ran or (begun and step.kind is StepKind.COMPENSATABLE)
    return CellState.UNDONE if undone else CellState.NEVER_RAN


def is_undone_next(flow: FlowFacts, step: StepFacts) -> bool:
    """Whether a step that is done is to be undone, or may be: a person decides."""
    going_back = flow.status in (Status.STOPPING, Status.PARKED) and not is_past_pivot(flow.steps)
    return going_back and step.kind is StepKind.COMPENSATABLE


def find_reason(step: StepFacts, state: CellState) -> str:
    """Return the reason under a step; empty where there is nothing to say."""
    match state:
        case CellState.REFUSED:
            return describe_refusal(step.refusal or {}) or "it said no"
        case CellState.CALLING | CellState.UNDOING | CellState.HELD | CellState.IN_DOUBT if step.failure:
            return describe_step_failure(step) + describe_times(step.failure)
        case CellState.UNDOING if not step.undo_phrase:
            return "it is made sure that it never runs"
        case CellState.IN_DOUBT:
            return f"nothing was heard of {step.service}"
        case CellState.HELD if step.amount:
            return f"{step.amount} is held"
        case CellState.DONE | CellState.UNDONE:
            return step.amount
    return ""
