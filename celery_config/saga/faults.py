"""The fault of a parked flow: one line, which every page shows; flows with the same line are one group. Pure."""

from __future__ import annotations

from celery_config.saga.causes import WHETHER_IT_RAN, CauseKind, describe_silence, phrase_command
from celery_config.saga.course import Course, Known
from celery_config.saga.dsl import Step
from celery_config.saga.flow_facts import FlowFacts, StepFacts, describe_step_failure, find_failed, find_next
from celery_config.saga.states import StepState


def find_fault(flow: FlowFacts) -> str:
    """Return what stands in the way of a parked flow, in words that are the same for all with the same fault."""
    if failed := find_failed(flow):
        return describe_step_failure(failed)
    if reason := flow.cause.get("parked"):
        return str(reason)
    silent, undo = find_next(flow)
    if silent is None:
        return CauseKind.END_UNHEARD
    if undo and not silent.undo_phrase:
        return describe_silence(silent.service, WHETHER_IT_RAN)
    return describe_silence(silent.service, f"to {(undo and silent.undo_phrase) or silent.phrase}")


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
