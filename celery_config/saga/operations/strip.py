"""The strip of a flow: where each of its steps stands, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from celery_config.saga.causes import describe_refusal
from celery_config.saga.dsl import StepKind
from celery_config.saga.flow_facts import (
    FlowFacts,
    StepFacts,
    describe_step_failure,
    find_next,
    is_past_pivot,
)
from celery_config.saga.operations.wording import describe_times
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
    """Done, and not undone yet, of a flow that is undone or waits for a decision."""
    IN_DOUBT = "in doubt"
    """It was asked for, and its result is not known; nothing asks again by itself."""


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


def draw_strip(flow: FlowFacts) -> list[Cell]:
    """Return each step with where it stands and why."""
    waits_for, undo = find_next(flow)
    cells = []
    for step in flow.steps:
        state = find_state(flow, step, is_next=step is waits_for, undo=undo)
        reason = find_reason(step, state)
        is_pivot = step.kind is StepKind.PIVOT
        cells.append(Cell(step.name, step.phrase, step.service, state, reason, is_pivot, step.at))
    return cells


def find_state(flow: FlowFacts, step: StepFacts, *, is_next: bool, undo: bool) -> CellState:
    match step.logged:
        case StepState.REFUSED:
            return CellState.REFUSED
        case StepState.UNDONE:
            return name_undone(ran=step.ran, is_refused=step.is_refused)
        case StepState.DONE if is_undone_next(flow, step):
            return CellState.UNDOING if is_next and flow.status is Status.STOPPING else CellState.HELD
        case StepState.DONE if flow.status is Status.COMPENSATED and step.kind is StepKind.COMPENSATABLE:
            return CellState.UNDONE  # the end of the chain proves it, though its event may still be on its way
        case StepState.DONE:
            return CellState.DONE
    if flow.status is Status.COMPLETED:
        return CellState.DONE  # as above
    if flow.status is Status.COMPENSATED:
        return CellState.REFUSED if step.is_refused else CellState.NEVER_RAN
    if flow.status is Status.PARKED:
        asked = step.failure is not None or is_next
        return CellState.IN_DOUBT if asked else CellState.NOT_YET
    if flow.status is Status.STOPPING:
        if step.is_refused:
            return CellState.REFUSED
        if is_next:
            return CellState.UNDOING
        return CellState.IN_DOUBT if step.failure else CellState.NOT_YET
    return CellState.CALLING if is_next else CellState.NOT_YET


def name_undone(*, ran: bool, is_refused: bool) -> CellState:
    """Return what became of a step of which nothing is left."""
    if ran:
        return CellState.UNDONE
    return CellState.REFUSED if is_refused else CellState.NEVER_RAN


def is_undone_next(flow: FlowFacts, step: StepFacts) -> bool:
    """Whether a step that is done is to be undone, or may be: a person decides."""
    going_back = flow.status in (Status.STOPPING, Status.PARKED) and not is_past_pivot(flow)
    return going_back and step.kind is StepKind.COMPENSATABLE


def find_reason(step: StepFacts, state: CellState) -> str:
    """Return the reason under a step; empty where there is nothing to say."""
    match state:
        case CellState.REFUSED:
            words = describe_refusal(step.refusal or {}) or "it said no"
            code = str((step.refusal or {}).get("code", ""))
            return f"{words} ({code})" if words and code and code not in words else words
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
