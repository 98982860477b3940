"""Differences between what the participants say of a flow now and what its log says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from celery_config.messaging.states import Action, Undo
from celery_config.saga.causes import phrase_command
from celery_config.saga.course import Answer, Course, Held
from celery_config.saga.states import StepState

WORDS = {
    Action.INTENT: "a call outside was begun, and its outcome is not known",
    Action.DONE: "done",
    Action.REFUSED: "refused",
    Action.TOMBSTONE: "never ran, and never will",
}
NOTHING_CAME = "nothing of it came here"
LOGGED = {StepState.NOTHING: "not known yet", StepState.UNDONE: "undone, or never ran"}
# What a participant may say when the log says this.
AGREEING: Mapping[StepState, tuple[str, ...]] = {
    StepState.NOTHING: (NOTHING_CAME,),
    StepState.DONE: (WORDS[Action.DONE],),
    StepState.REFUSED: (WORDS[Action.REFUSED],),
    StepState.UNDONE: ("undone", WORDS[Action.REFUSED], WORDS[Action.TOMBSTONE]),
}


@dataclass(frozen=True)
class Difference:
    """One step of which its participant says something else than the log."""

    phrase: str
    service: str
    says: str
    note: str
    logged: str


def list_differences(course: Course, answers: Mapping[str, Answer]) -> list[Difference]:
    """Return the differences, in the order of the steps; a participant that did not answer says nothing."""
    found = []
    for step in course.steps:
        answer = answers.get(step.command.service)
        if answer is None:
            continue
        held = answer.get(step.name)
        known = course.log.get(step.name)
        logged = known.logged if known else StepState.NOTHING
        says = describe_held(held)
        if says not in AGREEING[logged] or (held and held.note):
            found.append(
                Difference(
                    phrase_command(step.command),
                    step.command.service,
                    says,
                    held.note if held else "",
                    describe_logged(logged),
                )
            )
    return found


def describe_logged(logged: StepState) -> str:
    """Return what we know of a step, in words for people."""
    return LOGGED.get(logged, str(logged))


def describe_held(held: Held | None) -> str:
    """Return what a participant holds of a step, in words for people."""
    if held is None:
        return NOTHING_CAME
    if held.undo is Undo.DONE:
        return "undone"
    if held.undo is Undo.INTENT:
        return f"{WORDS[held.action]}; its undo was begun, and its outcome is not known"
    return WORDS[held.action]
