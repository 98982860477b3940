"""What really became of a saga, as a schedule that the simulation plays: a parked saga becomes a test. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from celery_config.saga.dsl import Saga, StepKind
from celery_config.saga.engine.plan import Operation
from celery_config.saga.states import Status, StepState
from celery_config.saga.testing.schedules import Schedule
from celery_config.saga.testing.simulation import Setting

STOPS = {"cancelled": "somebody cancels", "deadline_passed": "the deadline passes"}
"""What stops a saga besides a refusal: by the code of its cause, what happens in the simulation."""


@dataclass(frozen=True)
class RecordedCourse:
    """What is kept of a saga.

    Args:
        stopped_by: the code of the cause of its stop; empty: it was not stopped.
        steps: what the log knows of each step, by name.
        given_up: on which operation the participant of a step used up its tries, by name of the step.
    """

    status: Status
    stopped_by: str
    steps: Mapping[str, StepState]
    given_up: Mapping[str, Operation]


def make_schedule(saga: type[Saga], course: RecordedCourse) -> Schedule:
    """Return the schedule in which the same steps are refused, fail and are stopped, and all else goes well."""
    outside = frozenset(step.name for step in saga.steps if step.command.provider)
    lasting, choices = set[str](), dict[str, str]()
    for step in saga.steps:
        operation = course.given_up.get(step.name)
        if operation == Operation.UNDO or (operation and step.kind is StepKind.RETRIABLE):
            if course.status is Status.PARKED:
                lasting.add(step.name)
        elif operation:
            choices |= give_up(step.name, course.steps.get(step.name), is_outside=step.name in outside)
        if course.steps.get(step.name) is StepState.REFUSED:
            at = "call" if step.name in outside else "at work"
            choices[f"do {step.name} 1 {at}"] = "says no" if step.name in outside else "refuses"
    if stop := STOPS.get(course.stopped_by):
        choices[f"do {find_last_begun(saga, course.steps)} 1 afterwards"] = stop
    return Schedule(Setting(saga, outside, frozenset(lasting)), choices)


def give_up(step: str, known: StepState | None, *, is_outside: bool) -> dict[str, str]:
    """Return how an action uses up its tries: with its effect, if the log knows of one."""
    if is_outside and known in (StepState.DONE, StepState.UNDONE):
        return {f"do {step} 1 call": "gives up, having done it"}
    return {f"do {step} 1 at work": "gives up"}


def find_last_begun(saga: type[Saga], steps: Mapping[str, StepState]) -> str:
    """Return the last step that the log knows of, or the first of the saga."""
    names: Sequence[str] = [step.name for step in saga.steps]
    known = [name for name in names if steps.get(name, StepState.NOTHING) is StepState.DONE]
    return known[-1] if known else names[0]
