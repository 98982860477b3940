"""What operators may do, as services with an audit trail: who, when, why. Admin and API call these (rule 25).

Each verb can be looked at first: where the saga would go, what would be sent, and what each participant's barrier
says at this moment. A verb that does not fit is refused and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import transaction

from celery_config.errors import OperatorRefused
from celery_config.messaging.decisions import Action
from celery_config.saga import clock, runner
from celery_config.saga.barriers import ask, settle
from celery_config.saga.chains import Chains
from celery_config.saga.dsl import Kind, Saga
from celery_config.saga.effects import Answer, Effect
from celery_config.saga.machine import (
    ENDED,
    STAY,
    Decision,
    Due,
    Input,
    Logged,
    Resume,
    Retry,
    Send,
    Status,
    StopAsked,
    View,
    decide,
)
from celery_config.saga.models import OperatorAction, SagaInstance
from celery_config.saga.pauses import check_reason
from celery_config.saga.plan import Operation, Planned, planned
from celery_config.saga.selectors import definition, live_effects


@dataclass(frozen=True)
class Verb:
    """One thing an operator may ask of a saga."""

    name: str
    label: str
    inputs: Mapping[Status, Input]
    """What the machine is told, by the saga's status; a status that is missing refuses."""


VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            "retry",
            "Retry now: look at it as the watchdog would; a parked saga is stopped, fence included",
            {s: Due() for s in (Status.RUNNING, Status.STOPPING, Status.FORWARD)} | {Status.PARKED: Retry()},
        ),
        Verb(
            "compensate",
            "Compensate now: fence the pivot, then undo every step",
            {Status.RUNNING: StopAsked(), Status.STOPPING: Due(), Status.PARKED: Retry()},
        ),
        Verb(
            "resume",
            "Resume forward: its pivot ran, go on with what is left",
            {Status.PARKED: Resume(), Status.FORWARD: Due()},
        ),
    )
}


# Where a call outside may have been open for so long that a human must tell its outcome.
IN_DOUBT = (Status.PARKED, Status.STOPPING, Status.FORWARD)
NOT_IN_DOUBT = "the saga is {}: nothing is in doubt for as long that a human must tell"


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
    barriers = ask(saga, row.pk)
    decision = decision_on(saga, row, verb, barriers)
    return Preview(
        refused=refusal_of(row, verb) if decision == STAY else "",
        before=row.status,
        after=decision.status or row.status,
        sends=links_of(saga, decision.send),
        effects=live_effects(saga, row, barriers),
        barriers=barriers,
    )


def perform(saga_id: UUID, verb: str, *, by: str, why: str) -> OperatorAction:
    """Do it, and write down who did and why, in one transaction.

    Raises:
        OperatorRefused: it does not fit where the saga stands now.
    """
    check_reason(why)
    row = SagaInstance.objects.get(pk=saga_id)
    saga = definition(row)
    proof = pivot_reply(saga, ask(saga, row.pk)) if verb == "resume" else None
    with transaction.atomic():
        if proof:
            # The log before the row: locks in one order everywhere.
            runner.merge(saga_id, proof.step, Logged.DONE, dict(proof.reply))
        row = SagaInstance.objects.select_for_update().get(pk=saga_id)
        before, decision = row.status, decision_on(saga, row, verb)
        if decision == STAY:
            raise OperatorRefused(refusal_of(row, verb))
        cause = {"step": "", "code": "cancelled", "reason": f"{why} ({by})"}
        runner.take(row, VERBS[verb].inputs[Status(before)], cause=cause if verb == "compensate" else None)
        sent = ", ".join(links_of(saga, decision.send)) or "nothing"
        return written(row, verb, "", by, why, f"{before} to {row.status}; sent: {sent}")


def take_over(saga_id: UUID, *, by: str, why: str) -> OperatorAction:
    """Become the owner of a parked saga.

    Raises:
        OperatorRefused: it is not parked.
    """
    check_reason(why)
    with transaction.atomic():
        row = SagaInstance.objects.select_for_update().get(pk=saga_id)
        if row.status != Status.PARKED:
            raise OperatorRefused(f"only a parked saga has an owner; this one is {row.status}")
        effect, row.owner = f"owner {row.owner} to {by}", by
        row.save(update_fields=["owner"])
        return written(row, "take over", "", by, why, effect)


def settle_by_hand(
    saga_id: UUID, step: str, operation: str, answer: dict[str, Any], *, by: str, why: str
) -> OperatorAction:
    """Tell a participant what became of a call outside whose outcome nobody knows but you.

    The participant writes it over its open intent and announces it; ask for a retry afterwards.

    Args:
        step: its name in the saga.
        operation: `do` or `undo`.
        answer: as the provider would have answered; what the participant needs to write its own rows.

    Raises:
        OperatorRefused: the saga is neither parked, stopping nor forward, or the participant has no open intent.
        PeerError: the participant did not answer.
    """
    check_reason(why)
    row = SagaInstance.objects.get(pk=saga_id)
    saga = definition(row)
    if row.status not in IN_DOUBT:
        raise OperatorRefused(NOT_IN_DOUBT.format(row.status))
    if step not in (s.name for s in saga.steps):
        raise OperatorRefused(f"{saga.name} has no step {step!r}")
    link = Chains(saga, row.pk, row.data, row.attempt).built(Planned(Operation(operation), step))
    service = saga.steps[saga.index(step)].command.service
    told = settle(service, link, row.subject, answer, note=f"{why} ({by})")
    return written(row, "settle by hand", f"{step} ({operation})", by, why, told)


def decision_on(
    saga: type[Saga], row: SagaInstance, verb: str, barriers: Mapping[str, Answer] | None = None
) -> Decision:
    """What the machine decides; a barrier's word that the pivot ran counts as if the log had it already."""
    came = VERBS[verb].inputs.get(Status(row.status))
    if came is None:
        return STAY
    view: View = runner.view(row, came, clock.now())
    if proof := pivot_reply(saga, barriers or {}):
        view = replace(view, log={**view.log, proof.step: Logged.DONE})
    return decide(saga, view, came)


def pivot_reply(saga: type[Saga], barriers: Mapping[str, Answer]) -> Proof | None:
    """The pivot's reply, if its participant's barrier says that it ran."""
    pivot = next((s for s in saga.steps if s.kind is Kind.PIVOT), None)
    held = (barriers.get(pivot.command.service) or {}).get(pivot.name) if pivot else None
    if pivot and held and held.action is Action.DONE:
        return Proof(pivot.name, held.reply or {})
    return None


def links_of(saga: type[Saga], send: Send | None) -> list[str]:
    return [f"{link.operation} {link.step}".strip() for link in planned(saga, send)] if send else []


def refusal_of(row: SagaInstance, verb: str) -> str:
    """Why the verb does not fit."""
    if row.status in ENDED:
        return f"the saga has ended: {row.status}"
    if verb == "resume":
        return f"only a saga whose pivot is known to have run goes forward; this one is {row.status}"
    return f"{verb} does not fit a saga that is {row.status}: what is past its pivot goes forward only"


def written(row: SagaInstance, verb: str, what: str, by: str, why: str, effect: str) -> OperatorAction:
    return OperatorAction.objects.create(saga=row, verb=verb, what=what, by=by, why=why, effect=effect[:300])
