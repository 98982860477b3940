"""Previews of the operators' verbs: what each would do to a flow, and what the barriers say of it now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from celery_config.saga.branches import Branch
from celery_config.saga.course import Answer, Course
from celery_config.saga.engine.flows import find_flow
from celery_config.saga.engine.machine import IGNORE, Decision
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.models import WatchedRow
from celery_config.saga.operations.acts import name_act
from celery_config.saga.operations.barrier_client import read_barriers
from celery_config.saga.operations.effects import Effect, describe_lost, find_effects, find_lost
from celery_config.saga.operations.wording import describe_status
from celery_config.saga.states import ENDED, Status


@dataclass(frozen=True)
class Preview:
    """What a verb would do."""

    refused: str
    """Why it would be refused; empty when it would not."""
    before: str
    after: str
    sends: list[str]
    """The links of the chain, in the order in which they would run."""
    branches: list[Branch]
    """What may become of it, by what the services find."""
    effects: list[Effect]
    warning: str
    """Which services must be recovered first, since their databases were set back; empty: none."""
    barriers: dict[str, Answer]


def preview(row: WatchedRow, verb: str) -> Preview:
    """Return what `verb` would do to the row now, and what every participant's barrier says of it.

    Raises:
        OperatorRefused: this code does not know the row's version.
    """
    flow = find_flow(type(row))
    course = flow.find_course(row)
    answers = read_barriers(course.steps, row.pk)
    proof = flow.find_proof(row, answers)
    # A barrier's word that the pivot ran counts as if the log had it already.
    work = UnitOfWork.begin(flow, [row], [proof] if proof else [])
    refused, decision = decide_verb(work, row, verb, course)
    return Preview(
        refused=refused,
        before=row.status,
        after=decision.status or row.status,
        sends=flow.describe_send(row, decision.send) if decision.send else [],
        branches=flow.list_branches(row, decision.send, course) if decision.send else [],
        effects=find_effects(course, answers),
        warning=describe_lost(find_lost(course, answers)),
        barriers=answers,
    )


def decide_verb(
    work: UnitOfWork[Any, Any], row: WatchedRow, verb: str, course: Course
) -> tuple[str, Decision[Any]]:
    """Return why the verb would be refused, empty if it would not, and what it decides. Changes nothing."""
    trigger = work.flow.verbs[verb].triggers.get(Status(row.status))
    decision = (trigger and work.flow.decide(row, trigger, work.now, work.facts)) or IGNORE
    return explain_refusal(row, verb) if decision == IGNORE else course.fault, decision


def explain_refusal(row: WatchedRow, verb: str) -> str:
    """Return why the status does not allow the verb."""
    kind = row._meta.verbose_name
    if row.status in ENDED:
        return f"the {kind} has ended: {describe_status(row.status)}"
    return (
        find_flow(type(row))
        .verbs[verb]
        .refusal.format(verb=name_act(verb), kind=kind, status=describe_status(row.status))
    )
