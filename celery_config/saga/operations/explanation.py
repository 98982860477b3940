"""The explanation of a flow: one or two sentences that say where it stands, what it waits for, and why. Pure.

    flow = read_flow(row)       # flow_reader.py: from the order service's own database
    explain(flow).text          # "Waits for a decision by 22:36 UTC (in 3 h 56 min): the carrier answered 500 …"
    draw_strip(flow)            # strip.py: where each step stands

Pages, API, lists and the terminal call these, so that one flow is told in the same words everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from celery_config.common.moments import Moment, format_moment, format_span
from celery_config.saga.causes import CANCELLED_BY_US, WITHOUT_REASON, describe_cause
from celery_config.saga.dsl import StepKind
from celery_config.saga.faults import find_fault
from celery_config.saga.flow_facts import (
    FlowFacts,
    StepFacts,
    Try,
    describe_step_failure,
    find_failed,
    find_failing,
    find_next,
    find_pivot,
    find_try,
    fits,
    is_past_pivot,
)
from celery_config.saga.operations.strip import CellState, describe_try, draw_strip
from celery_config.saga.operations.wording import (
    Part,
    capitalize,
    count_steps,
    describe_count,
    describe_times,
    end_sentence,
    merge_texts,
)
from celery_config.saga.states import OPEN, Status


@dataclass(frozen=True)
class Explanation:
    """One or two sentences."""

    parts: Sequence[Part]
    now: datetime

    @property
    def text(self) -> str:
        return "".join(
            part if isinstance(part, str) else format_moment(part, self.now) for part in self.parts
        )

    def __str__(self) -> str:
        return self.text


def explain(flow: FlowFacts) -> Explanation:
    """Return the one or two sentences that say where the flow stands, what it waits for, and why."""
    return Explanation(tuple(merge_texts(tell(flow))), flow.now)


def tell(flow: FlowFacts) -> Iterator[Part]:
    if flow.held_since and flow.status in OPEN:
        yield "Held since "
        yield Moment(flow.held_since)
        yield f": {end_sentence(flow.held)} Its deadline moves by as much. "
    match flow.status:
        case Status.RUNNING:
            yield from tell_waiting(flow, "On its way")
        case Status.STOPPING if is_past_pivot(flow.steps):
            # Whether it ran is asked all the same, and the answer turns the flow.
            yield f"{tell_past(flow)}, so it is being finished."
            yield from tell_too_late(flow)
        case Status.STOPPING:
            why = find_cause(flow)
            yield f"{capitalize(why)}, so the {flow.noun} is being cancelled" if why else "Being cancelled"
            yield from tell_next(flow)
            yield from tell_held(flow)
        case Status.FORWARD:
            yield from tell_waiting(flow, f"{tell_past(flow)}, so it is being finished")
            yield from tell_too_late(flow)
        case Status.COMPLETED:
            yield f"Done: {count_steps(len(flow.steps))}"
            yield from tell_end(flow)
            yield "."
            yield from tell_too_late(flow)
        case Status.COMPENSATED:
            undone = any(cell.state is CellState.UNDONE for cell in draw_strip(flow))
            yield "Cancelled, everything undone" if undone else "Cancelled before anything was done"
            yield from tell_end(flow)
            why = find_cause(flow)
            yield f": {end_sentence(why)}" if why else "."
        case Status.PARKED:
            yield from tell_parked(flow)


def tell_past(flow: FlowFacts) -> str:
    pivot = find_pivot(flow.steps)
    return f"Past the point of no return ({pivot.phrase})" if pivot else "Under way, with no way back"


def tell_waiting(flow: FlowFacts, begin: str) -> Iterator[Part]:
    yield begin
    yield from tell_next(flow)
    if flow.status is Status.RUNNING and flow.deadline_at and flow.drives:
        yield " If it does not get further, it is cancelled at "
        yield Moment(flow.deadline_at)
        yield "."


def tell_next(flow: FlowFacts) -> Iterator[Part]:
    """What an open flow waits for, and when it is sent again."""
    if flow.fault:
        yield f": {end_sentence(flow.fault)}"
        return
    step, undo = find_next(flow)
    asked = (step.undo_phrase if undo else step.phrase) if step else ""
    failed = step.failure if step and fits(step.failure, undo=undo) else None
    tried = find_try(flow, step, undo=undo) if step else None
    if step and tried:
        yield f": {describe_step_failure(step, tried.failure)}"
        yield from tell_try(tried, flow.now)
    elif step and failed:
        yield f": {describe_step_failure(step)}{describe_times(failed)}"
    elif step and asked:
        yield f": {step.service} is asked to {asked}"
    elif step:
        yield f": {step.service} makes sure that it never will {step.phrase}"
    else:
        yield ": the last word of it is on its way"
    if flow.drives:
        yield f"; sent again {describe_count(flow.drives)}"
    if flow.stands_for:
        yield f". Its clock stands: {flow.stands_for}"
    elif flow.due_at and not (tried and tried.is_ahead(flow.now)) and (failed or flow.drives):
        yield ", next at "
        yield Moment(flow.due_at, away=True)
    yield "."


def tell_try(tried: Try, now: datetime) -> Iterator[Part]:
    """Which try it was or is, and when the next one is."""
    told = describe_try(tried, now)
    yield f"; {told['tries']}"
    if told.get("next_at"):
        yield ", next at "
        yield Moment(told["next_at"], away=True)


def tell_parked(flow: FlowFacts) -> Iterator[Part]:
    yield "Waits for a decision"
    if flow.answer_by and flow.answer_by > flow.now:
        yield " by "
        yield Moment(flow.answer_by, away=True)
    elif flow.answer_by:
        yield ", overdue since "
        yield Moment(flow.answer_by, away=True)
    line = find_line(flow)
    yield f": {line}{describe_tries(flow)}."
    if is_past_pivot(flow.steps):
        yield from tell_too_late(flow)
        return
    why = find_cause(flow)
    if why and why != line and not is_repeated(why, line):
        yield f" {capitalize(why)}, so the {flow.noun} is being cancelled."
    yield from tell_held(flow)


def tell_end(flow: FlowFacts) -> Iterator[Part]:
    if flow.ended_at:
        yield " at "
        yield Moment(flow.ended_at)
        if flow.started_at:
            yield f", after {format_span(flow.ended_at - flow.started_at)}"


def tell_too_late(flow: FlowFacts) -> Iterator[Part]:
    """That somebody cancelled it in vain."""
    cancelled = flow.cause.get("code") == CANCELLED_BY_US["code"] and "verb" not in flow.cause
    if cancelled and find_pivot(flow.steps):
        yield " Cancelled too late: the money had been taken."


def tell_held(flow: FlowFacts) -> Iterator[Part]:
    """The money that is not given back yet."""
    cells = {cell.name: cell.state for cell in draw_strip(flow)}
    for step in flow.steps:
        if step.kind is not StepKind.COMPENSATABLE or not step.amount:
            continue
        match cells[step.name]:
            case CellState.HELD | CellState.UNDOING if step.ran:
                yield f" {step.amount} is held"
            case CellState.IN_DOUBT | CellState.UNDOING if step.failure:
                yield f" {step.amount} may be held"
            case _:
                continue
        if step.expires_at:
            yield " until "
            yield Moment(step.expires_at, day_only=True)
        yield "."


def find_cause(flow: FlowFacts) -> str:
    """Return why the flow is stopped or was, in words; empty if it is not, or no one said why.

    A failed step is no cause: what its participant said of it is.
    """
    cause = {name: value for name, value in flow.cause.items() if name != "parked"}
    if not cause:
        return ""
    step = next((s for s in flow.steps if s.name == cause.get("step")), None)
    if step is None or cause.get("code") not in WITHOUT_REASON:
        return describe_cause(cause, step.service if step else "", step.phrase if step else "")
    refused = [s for s in flow.steps if s.is_refused]
    return explain_step(step if step.is_refused or not refused else refused[0])


def find_line(flow: FlowFacts) -> str:
    """Return the one line that says why a flow waits, or is or was stopped; empty if it is not."""
    if flow.status is Status.PARKED:
        return flow.line or find_fault(flow)
    return find_cause(flow) if flow.status in (Status.STOPPING, Status.COMPENSATED) else ""


def find_hindrance(flow: FlowFacts) -> str:
    """Return the one line that says what keeps a flow from its end until somebody mends it; empty: nothing does."""
    if flow.status is Status.PARKED:
        return find_line(flow)
    failing = find_failing(flow)
    return failing.line if failing else ""


def explain_step(step: StepFacts) -> str:
    """Return why a step did not succeed: its refusal, or its participant's failure."""
    told = step.refusal or (step.failure if fits(step.failure, undo=False) else None)
    return (
        describe_cause(told, step.service, step.phrase) if told else f"{step.service} did not {step.phrase}"
    )


def describe_tries(flow: FlowFacts) -> str:
    failed = find_failed(flow)
    counted = describe_times(failed.failure) if failed and failed.failure else ""
    return counted or (f"; it was sent again {describe_count(flow.sent)}" if flow.sent else "")


def is_repeated(why: str, line: str) -> bool:
    """Whether a cause says what the line says already."""
    return why.lower() in line.lower() or line.lower() in why.lower()
