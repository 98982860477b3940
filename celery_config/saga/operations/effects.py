"""Effects of a saga, not undone or in doubt: an operator must see them before a decision (rule 25, parked). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from celery_config.common.grouping import join_some
from celery_config.contracts.base import contract_fields
from celery_config.messaging.states import Action, Undo
from celery_config.saga.course import Answer, Course, Known, find_amount, find_expiry, read_fields
from celery_config.saga.dsl import Step, StepKind
from celery_config.saga.operations.differences import describe_logged
from celery_config.saga.states import StepState


@dataclass(frozen=True)
class Effect:
    """Something that a saga did and did not undo, or may have done."""

    step: str
    holder: str
    doubtful: bool
    amount: int | None
    """In minor units of `currency`."""
    currency: str
    expires_at: datetime | None
    because: str


def find_effects(course: Course, barriers: Mapping[str, Answer]) -> list[Effect]:
    """Return every live or doubtful effect, in the order of the steps.

    Args:
        barriers: what each participant's barrier says, by service.
    """
    found = []
    for step in course.steps:
        known = course.log.get(step.name, Known(StepState.NOTHING, None))
        answer = barriers.get(step.command.service)
        judged = judge_effect(known, answer, step.name)
        if judged is None:
            continue
        doubtful, reason = judged
        held = answer.get(step.name) if answer is not None else None
        reply = (held and held.reply) or known.reply or {}
        found.append(make_effect(step, course.data, reply, doubtful, reason))
    return drop_spent(found, {step.name: step.kind for step in course.steps})


def drop_spent(found: Sequence[Effect], kinds: Mapping[str, StepKind]) -> list[Effect]:
    """Return the effects without the money that was held until its holder took it: it is not held any more."""
    taken = {
        each.holder
        for each in found
        if kinds[each.step] is StepKind.PIVOT and each.amount and not each.doubtful
    }
    return [
        each
        for each in found
        if not (kinds[each.step] is StepKind.COMPENSATABLE and each.amount and each.holder in taken)
    ]


def find_lost(course: Course, barriers: Mapping[str, Answer]) -> list[str]:
    """Return the services that know nothing of what they did for this flow: each must be recovered first."""
    return list(
        dict.fromkeys(
            step.command.service
            for step in course.steps
            if step.name in course.log
            and is_lost(course.log[step.name], barriers.get(step.command.service), step.name)
        )
    )


def describe_lost(services: Sequence[str]) -> str:
    """Say which services must be recovered before a flow is driven, and with which command; empty: none."""
    if not services:
        return ""
    names, commands = (
        join_some([form.format(each) for each in services], len(services))
        for form in ("{}", "./manage.py {} recover")
    )
    return (
        f"{names}: the database was set back, and what was done there is lost; run {commands} first, or the flow waits"
        " for a decision again"
    )


def is_lost(known: Known, answer: Answer, step: str) -> bool:
    """Whether a step was done, and its service answers that it knows nothing of it."""
    return known.logged is StepState.DONE and answer is not None and step not in answer


def judge_effect(known: Known, answer: Answer, step: str) -> tuple[bool, str] | None:
    """Return whether the step's effect is in doubt, and the reason; None if the step has no effect."""
    if answer is None:
        if known.logged in (StepState.REFUSED, StepState.UNDONE):
            return None
        return True, f"its service does not answer; what we know of it: {describe_logged(known.logged)}"
    held = answer.get(step)
    if is_lost(known, answer, step):
        return True, "it was done, and its service knows nothing of it: the service's database was set back"
    if held is None or held.undo is Undo.DONE or held.action in (Action.REFUSED, Action.TOMBSTONE):
        return None
    if held.action is Action.INTENT:
        return True, "a call outside was begun and its outcome is not known"
    if held.undo is Undo.INTENT:
        return True, "its undo was begun and its outcome is not known"
    return False, "done, and not undone"


def make_effect(
    step: Step, data: Mapping[str, Any], reply: Mapping[str, Any], doubtful: bool, reason: str
) -> Effect:
    asked = {f.name: data[f.name] for f in contract_fields(step.command) if f.name in data}
    return Effect(
        step=step.name,
        holder=step.command.service,
        doubtful=doubtful,
        amount=find_amount(reply) or find_amount(asked),
        currency=str(read_fields(reply).get("currency") or data.get("currency") or ""),
        expires_at=find_expiry(reply),
        because=reason,
    )
