"""The operators' verbs and their previews: what each would do to a saga, and what the barriers say of it now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from celery_config.messaging.states import Action
from celery_config.saga.dsl import Saga, StepKind
from celery_config.saga.engine import clock, runner, step_log
from celery_config.saga.engine.machine import (
    IGNORE,
    CancelRequested,
    Resume,
    Retry,
    Send,
    Trigger,
    WatchdogFired,
    decide,
)
from celery_config.saga.engine.plan import plan_links
from celery_config.saga.models import SagaInstance
from celery_config.saga.operations.barrier_client import ask
from celery_config.saga.operations.effects import Answer, Effect, effects
from celery_config.saga.operations.selectors import course_of, definition
from celery_config.saga.states import ENDED, Status, StepState


@dataclass(frozen=True)
class Verb:
    """One thing an operator may ask of a saga."""

    name: str
    label: str
    inputs: Mapping[Status, Trigger]
    """What the machine is told, by the saga's status; a status that is missing refuses."""


VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            "retry",
            "Retry now: look at it as the watchdog would; a parked saga is stopped, fence included",
            {s: WatchdogFired() for s in (Status.RUNNING, Status.STOPPING, Status.FORWARD)}
            | {Status.PARKED: Retry()},
        ),
        Verb(
            "compensate",
            "Compensate now: fence the pivot, then undo every step",
            {Status.RUNNING: CancelRequested(), Status.STOPPING: WatchdogFired(), Status.PARKED: Retry()},
        ),
        Verb(
            "resume",
            "Resume forward: its pivot ran, go on with what is left",
            {Status.PARKED: Resume(), Status.FORWARD: WatchdogFired()},
        ),
    )
}


@dataclass(frozen=True)
class Proof:
    """A barrier's word that the pivot ran."""

    step: str
    reply: Mapping[str, Any]


@dataclass(frozen=True)
class Preview:
    """What a verb would do."""

    refused: str
    """Why it would be refused; empty when it would not."""
    before: str
    after: str
    sends: list[str]
    """The links of the chain, in the order in which they would run."""
    effects: list[Effect]
    barriers: dict[str, Answer]


def preview(saga_id: UUID, verb: str) -> Preview:
    """Return what `verb` would do to the saga now, and what every participant's barrier says of it."""
    row = SagaInstance.objects.get(pk=saga_id)
    saga = definition(row)
    course = course_of(row)
    barriers = ask(course.steps, row.pk)
    decision = IGNORE
    if came := input_of(row, verb):
        view = runner.build_view(row, clock.now(), step_log.read_log([row]))
        if proof := pivot_reply(saga, barriers):
            # A barrier's word that the pivot ran counts as if the log had it already.
            view = replace(view, log={**view.log, proof.step: StepState.DONE})
        decision = decide(saga, view, came)
    return Preview(
        refused=refusal_of(row, verb) if decision == IGNORE else "",
        before=row.status,
        after=decision.status or row.status,
        sends=links_of(saga, decision.send),
        effects=effects(course, barriers),
        barriers=barriers,
    )


def input_of(row: SagaInstance, verb: str) -> Trigger | None:
    """What the machine is told when this is asked of the saga where it stands; None refuses."""
    return VERBS[verb].inputs.get(Status(row.status))


def pivot_reply(saga: type[Saga], barriers: Mapping[str, Answer]) -> Proof | None:
    """The pivot's reply, if its participant's barrier says that it ran."""
    pivot = next((s for s in saga.steps if s.kind is StepKind.PIVOT), None)
    held = (barriers.get(pivot.command.service) or {}).get(pivot.name) if pivot else None
    if pivot and held and held.action is Action.DONE:
        return Proof(pivot.name, held.reply or {})
    return None


def links_of(saga: type[Saga], send: Send | None) -> list[str]:
    return [f"{link.operation} {link.step}".strip() for link in plan_links(saga, send)] if send else []


def refusal_of(row: SagaInstance, verb: str) -> str:
    """Why the verb does not fit."""
    if row.status in ENDED:
        return f"the saga has ended: {row.status}"
    if verb == "resume":
        return f"only a saga whose pivot is known to have run goes forward; this one is {row.status}"
    return f"{verb} does not fit a saga that is {row.status}: what is past its pivot goes forward only"
