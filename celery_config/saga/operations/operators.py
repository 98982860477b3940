"""What operators may do, as services with an audit trail: who, when, why. Admin and API call these (rule 25).

Each verb can be looked at first (`verbs.preview`): where the saga would go, what would be sent, and what each
participant's barrier says at this moment. A verb that does not fit is refused and changes nothing.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from celery_config.errors import OperatorRefused
from celery_config.saga.engine import parking, runner, step_log
from celery_config.saga.engine.machine import IGNORE
from celery_config.saga.models import OperatorAction, SagaInstance
from celery_config.saga.operations import barrier_client
from celery_config.saga.operations.audit_trail import check_reason, written
from celery_config.saga.operations.barrier_client import ask
from celery_config.saga.operations.previews import input_of, links_of, pivot_reply, refusal_of
from celery_config.saga.operations.selectors import course_of, definition
from celery_config.saga.states import Status, StepState

# Where a call outside may have been open for so long that a human must tell its outcome.
IN_DOUBT = (Status.PARKED, Status.STOPPING, Status.FORWARD)
NOT_IN_DOUBT = "it is {}: nothing is in doubt for as long that a human must tell"


def perform(saga_id: UUID, verb: str, *, by: str, why: str) -> OperatorAction:
    """Do it, and write down who did and why, in one transaction.

    Raises:
        OperatorRefused: it does not fit where the saga stands now.
    """
    check_reason(why)
    row = SagaInstance.objects.get(pk=saga_id)
    saga = definition(row)
    proof = pivot_reply(saga, ask(saga.steps, row.pk)) if verb == "resume" else None
    with transaction.atomic():
        if proof:
            # The log before the row: locks in one order everywhere.
            step_log.merge_entries([step_log.Entry(saga_id, proof.step, StepState.DONE, dict(proof.reply))])
        row = SagaInstance.objects.select_for_update().get(pk=saga_id)
        before, came = row.status, input_of(row, verb)
        cause = {"step": "", "code": "cancelled", "reason": f"{why} ({by})"} if verb == "compensate" else None
        decision = runner.apply_trigger(row, came, cause=cause) if came else IGNORE
        if decision == IGNORE:
            raise OperatorRefused(refusal_of(row, verb))
        sent = ", ".join(links_of(saga, decision.send)) or "nothing"
        return written(verb, saga=row, by=by, why=why, effect=f"{before} to {row.status}; sent: {sent}")


def take_over(saga_id: UUID, *, by: str, why: str) -> OperatorAction:
    """Become the owner of a parked saga.

    Raises:
        OperatorRefused: it is not parked.
    """
    check_reason(why)
    with transaction.atomic():
        row = SagaInstance.objects.select_for_update().get(pk=saga_id)
        effect = parking.take_over(row, row.status, by)
        return written("take over", saga=row, by=by, why=why, effect=effect)


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
    check_doubt(row.status)
    course, note = course_of(row), f"{why} ({by})"
    told = barrier_client.settle(course, row.pk, step, operation, row.subject, answer, note=note)
    what = f"{step} ({operation})"
    return written("settle by hand", saga=row, what=what, by=by, why=why, effect=told)


def check_doubt(status: str) -> None:
    """Raise OperatorRefused where no call outside can have been open for long."""
    if status not in IN_DOUBT:
        raise OperatorRefused(NOT_IN_DOUBT.format(status))
