"""The fault of a parked flow: one line, which every page shows; flows with the same line are one group. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from celery_config.saga.causes import (
    WHETHER_IT_RAN,
    CauseKind,
    describe_late_answer,
    describe_silence,
    phrase_command,
    tells_silence,
)
from celery_config.saga.course import Course, Known
from celery_config.saga.dsl import Step
from celery_config.saga.flow_facts import FlowFacts, StepFacts, describe_step_failure, find_failed, find_next
from celery_config.saga.states import StepState


def find_fault(flow: FlowFacts) -> str:
    """Return what stands in the way of a parked flow, in words that are the same for all with the same fault.

    Of one that has a line already, and of which something was heard since, it is what stands in its way now.
    """
    if failed := find_failed(flow):
        return describe_step_failure(failed)
    if reason := flow.cause.get("parked"):
        return str(reason)
    if tells_silence(flow.line) and (answer := find_late_answer(flow)):
        return answer
    silent, undo = find_next(flow)
    return (
        describe_silence(silent.service, phrase_question(silent, undo=undo))
        if silent
        else CauseKind.END_UNHEARD
    )


def phrase_question(step: StepFacts, *, undo: bool) -> str:
    """Return what the service of a step was asked."""
    if undo and not step.undo_phrase:
        return WHETHER_IT_RAN
    return f"to {(undo and step.undo_phrase) or step.phrase}"


def find_late_answer(flow: FlowFacts) -> str:
    """Return the answer that the line of a parked flow misses, once it has come; empty: it has not.

    The line stays then, whatever follows from the answer: nothing more is sent until a person decides.
    """
    if CauseKind.ANSWERED_LATE in flow.line:
        return flow.line
    for step in flow.steps:
        for undo, answer in list_answers(step):
            asked = phrase_question(step, undo=undo)
            if flow.line == describe_silence(step.service, asked):
                return describe_late_answer(step.service, asked, answer)
    return ""


def list_answers(step: StepFacts) -> Iterator[tuple[bool, str]]:
    """Yield what is known of a step, in words: first as the answer to its action, then to its undo or fence."""
    if step.logged is StepState.NOTHING:
        return
    yield False, "refused" if step.logged is StepState.REFUSED else "done"
    if not step.undo_phrase:
        yield True, "it did" if step.logged is StepState.DONE else "it did not, and never will"
    elif step.logged is not StepState.DONE:
        yield True, "done"


def list_steps(course: Course) -> list[StepFacts]:
    """Return the facts of the steps of a course, without what they move."""
    return [describe_step(step, course.log.get(step.name)) for step in course.steps]


def describe_step(step: Step, known: Known | None) -> StepFacts:
    known = known or Known(StepState.NOTHING, None)
    return StepFacts(
        name=step.name,
        service=step.command.service,
        kind=step.kind,
        phrase=phrase_command(step.command),
        undo_phrase=phrase_command(step.undo) if step.undo else "",
        logged=known.logged,
        ran=known.ran,
        refusal=known.refusal,
        failure=known.failure,
        at=known.at,
    )
