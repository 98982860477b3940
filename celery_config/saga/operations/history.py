"""The history of a flow: what the order service knows of when which thing happened to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from celery_config.common.moments import format_span
from celery_config.common.services import ORCHESTRATOR
from celery_config.saga.causes import describe_refusal
from celery_config.saga.engine.flows import find_flow
from celery_config.saga.flow_facts import (
    FlowFacts,
    Happening,
    HappeningKind,
    StepFacts,
    Try,
    describe_step_failure,
    list_begun,
)
from celery_config.saga.models import OperatorAction, SagaDecision, SagaInstance, WatchedRow
from celery_config.saga.operations.acts import describe_target, name_act
from celery_config.saga.operations.strip import CellState, name_undone
from celery_config.saga.operations.timeline import OPERATORS, Timeline, lay_out
from celery_config.saga.operations.wording import (
    STATUS_WORDS,
    describe_status,
    format_ordinal,
)
from celery_config.saga.states import StepState

KINDS = {
    StepState.DONE: HappeningKind.DONE,
    StepState.REFUSED: HappeningKind.REFUSED,
    StepState.UNDONE: HappeningKind.UNDONE,
}


# What a saga's decisions say, by how their texts begin, and what that means to people.
CAME = {
    "step failed": "a step failed",
    "failed": "a message without a step of its own failed",
    "lost": "a service knows nothing of a step that was done",
    "event": "word of a step",
    "the pivot ran": "the point of no return was passed",
    "end of the stop chain, an undo is missing": "all but one of the undos are done",
    "end of the stop chain": "all undos are done",
    "end of the chain": "all steps are done",
    "asked to stop": "somebody asked to cancel it",
    "asked to try again": "an operator asked to try again",
    "asked to go on forward": "an operator asked to finish it",
    "silent until due": "nothing was heard in time",
    "cannot be driven": "it could not be sent again",
}
SENT = {
    "actions from": "the steps that are missing were sent",
    "only the completion": "the word that all is done was sent",
    "stop chain": "the undos were sent",
    "undos of": "the undos that are left were sent",
}


def read_timeline(row: WatchedRow, facts: FlowFacts) -> Timeline:
    """Return the timeline of a flow: two queries at most."""
    lanes = [ORCHESTRATOR, *dict.fromkeys(step.service for step in facts.steps)]
    return lay_out(read_history(row, facts), lanes)


def read_history(row: WatchedRow, facts: FlowFacts) -> list[Happening]:
    """Return what happened to a flow, in no order: two queries at most."""
    found = [*find_flow(type(row)).read_happenings(row), *read_actions(row), *tell_holds(row)]
    steps = {step.name: step for step in facts.steps}
    found += [tell_try(steps[each.step], each) for each in facts.tries if each.step in steps]
    given_up = {each.step for each in facts.tries if each.next_at is None}
    begun = list_begun(facts)
    for step in facts.steps:
        if step.name not in given_up:
            found += tell_failure(step)
        if not facts.choreographed:
            found += tell_state(step, begun=step in begun)
    if isinstance(row, SagaInstance):
        found += [tell_decision(each) for each in row.decisions.all()]
    if facts.started_at:
        found.append(
            Happening(facts.started_at, ORCHESTRATOR, HappeningKind.BEGAN, f"the {facts.noun} began")
        )
    if facts.ended_at:
        found.append(
            Happening(
                facts.ended_at, ORCHESTRATOR, HappeningKind.ENDED, f"ended: {STATUS_WORDS[facts.status]}"
            )
        )
    return found


def tell_decision(made: SagaDecision) -> Happening:
    """Return a decision of a saga in words for people."""
    why = next((words for said, words in CAME.items() if made.came.startswith(said)), made.came)
    _, _, about = made.came.partition(": ")
    went_on = made.status_after == made.status_before
    change = "" if went_on else f"; from now on {describe_status(made.status_after)}"
    sent = next((words for said, words in SENT.items() if made.sent.startswith(said)), made.sent)
    text = why + (f" ({describe_target(about)})" if about else "") + change + (f"; {sent}" if sent else "")
    return Happening(made.at, ORCHESTRATOR, HappeningKind.SENT if went_on else HappeningKind.DECIDED, text)


def read_actions(row: WatchedRow) -> Iterator[Happening]:
    """What operators did to the flow."""
    about: Any = Q(saga=row) if isinstance(row, SagaInstance) else Q(subject=row.subject)
    for did in OperatorAction.objects.filter(about):
        asked = f", asked by {did.asked_by}" if did.asked_by else ""
        text = f"{name_act(did.verb)} by {did.by}{asked}: {did.why}"
        yield Happening(did.at, OPERATORS, HappeningKind.ACTED, text)


def tell_holds(row: WatchedRow) -> Iterator[Happening]:
    """When the flow was held: by whom and why, until when, and by how much its deadline moved."""
    for held in row.held_times or ():
        began = datetime.fromisoformat(held["from"])
        text = f"held by {held['by']}: {held['why']} ({held['what']})"
        yield Happening(began, OPERATORS, HappeningKind.ACTED, text)
        if "to" in held:
            ended = datetime.fromisoformat(held["to"])
            moved = held.get("moved_seconds")
            text = f"the hold by {held['by']} ended after {format_span(ended - began)}"
            if moved is not None:
                text += f"; its deadline moved by {format_span(timedelta(seconds=moved))}"
            yield Happening(ended, OPERATORS, HappeningKind.ACTED, text)


def tell_state(step: StepFacts, *, begun: bool) -> Iterator[Happening]:
    """When the log's last word of a step came; `begun`: it ran or may have run."""
    if step.at is None or step.logged is StepState.NOTHING:
        return
    kind = KINDS[step.logged]
    if step.is_refused:
        kind = HappeningKind.REFUSED
        text = f"refused to {step.phrase}: {describe_refusal(step.refusal or {})}"
    elif step.logged is StepState.UNDONE and name_undone(step, begun=begun) is CellState.NEVER_RAN:
        text = f"{step.phrase}: it never ran, and never will"
    else:
        asked = step.undo_phrase if step.logged is StepState.UNDONE else step.phrase
        text = f"{asked or step.phrase}: done"
    yield Happening(step.at, step.service, kind, text)


def tell_try(step: StepFacts, tried: Try) -> Happening:
    """Return a try that did not succeed, in words for people."""
    after = (
        f"next in {format_span(tried.next_at - tried.at)}"
        if tried.next_at
        else "given up until it is sent again"
    )
    text = f"{describe_step_failure(step, tried.failure)} ({format_ordinal(tried.number)} try, {after})"
    kind = HappeningKind.TRIED if tried.next_at else HappeningKind.FAILED
    return Happening(tried.at, step.service, kind, text)


def tell_failure(step: StepFacts) -> Iterator[Happening]:
    """When its participant gave a step up last, if no try says so: an older version announced none."""
    failure = step.failure or {}
    if at := failure.get("at"):
        text = describe_step_failure(step)
        yield Happening(datetime.fromisoformat(at), step.service, HappeningKind.FAILED, text)
