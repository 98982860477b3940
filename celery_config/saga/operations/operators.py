"""Operators act on flows of every kind, and each act is written down: who, when, why (rule 25, parked).

Admin and API call these. Each verb has a preview (`verbs.preview`): where the flow would go, what would be sent, and
what each participant's barrier says at this moment. A verb that does not fit is refused and changes nothing.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction

from celery_config.errors import OperatorRefused
from celery_config.saga.engine import parking, step_log
from celery_config.saga.engine.flows import find_flow
from celery_config.saga.engine.machine import IGNORE
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.models import OperatorAction, WatchedRow
from celery_config.saga.operations import barrier_client
from celery_config.saga.operations.audit_trail import check_reason, written
from celery_config.saga.operations.previews import refusal_of
from celery_config.saga.states import Status

# Where a call outside may have been open for so long that a human must tell its outcome.
IN_DOUBT = (Status.PARKED, Status.STOPPING, Status.FORWARD)
NOT_IN_DOUBT = "it is {}: nothing is in doubt for as long that a human must tell"


def perform(seen: WatchedRow, verb: str, *, by: str, why: str) -> OperatorAction:
    """Do it, and write down who did and why, in one transaction.

    Args:
        seen: the row as it was read; it is locked and read again.

    Raises:
        OperatorRefused: it does not fit where the flow stands now.
    """
    check_reason(why)
    flow = find_flow(type(seen))
    course, proof = flow.find_course(seen), None
    if verb == "resume":
        proof = flow.find_proof(seen, barrier_client.ask(course.steps, seen.pk))
    cause = {"step": "", "code": "cancelled", "reason": f"{why} ({by})"} if verb == "compensate" else None
    with transaction.atomic():
        # The log before the row: locks in one order everywhere.
        step_log.merge_entries([proof] if proof else [])
        (row,) = flow.lock([seen.pk])
        work = UnitOfWork.begin(flow, [row])
        before, trigger = row.status, flow.verbs[verb].triggers.get(Status(row.status))
        decision = work.apply_trigger(row, trigger, cause) if trigger else IGNORE
        if decision == IGNORE:
            raise OperatorRefused(refusal_of(row, verb))
        work.write()
        sent = ", ".join(flow.describe_send(row, decision.send)) if decision.send else "nothing"
        return written(verb, row=row, by=by, why=why, effect=f"{before} to {row.status}; sent: {sent}")


def take_over(seen: WatchedRow, *, by: str, why: str) -> OperatorAction:
    """Become the owner of a parked flow.

    Raises:
        OperatorRefused: it is not parked.
    """
    check_reason(why)
    with transaction.atomic():
        (row,) = find_flow(type(seen)).lock([seen.pk])
        return written("take over", row=row, by=by, why=why, effect=parking.take_over(row, by))


def settle_by_hand(
    row: WatchedRow, step: str, operation: str, answer: dict[str, Any], *, by: str, why: str
) -> OperatorAction:
    """Tell a participant what became of a call outside whose outcome nobody knows but you.

    The participant writes it over its open intent and announces it; ask for a retry afterwards.

    Args:
        step: its name in the flow's course.
        operation: `do` or `undo`.
        answer: as the provider would have answered; what the participant needs to write its own rows.

    Raises:
        OperatorRefused: the flow is neither parked, stopping nor forward, or the participant has no open intent.
        PeerError: the participant did not answer.
    """
    check_reason(why)
    if row.status not in IN_DOUBT:
        raise OperatorRefused(NOT_IN_DOUBT.format(row.status))
    course, note = find_flow(type(row)).find_course(row), f"{why} ({by})"
    effect = barrier_client.settle(course, row.pk, step, operation, row.subject, answer, note=note)
    return written("settle by hand", row=row, what=f"{step} ({operation})", by=by, why=why, effect=effect)
