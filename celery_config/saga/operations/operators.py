"""Operators act on flows of every kind; each act is recorded: who, when, why (rule 25, parked).

Admin and API call these. Each verb has a preview (`previews.preview`): where the flow would go, what would be sent, and
what each participant's barrier says at this moment. A verb that does not fit is refused and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db import transaction

from celery_config.errors import OperatorRefused
from celery_config.saga.approvals.models import ApprovalRequest
from celery_config.saga.causes import BROUGHT_TO_AN_END, CANCELLED_BY_US
from celery_config.saga.engine import step_log
from celery_config.saga.engine.flows import find_flow
from celery_config.saga.engine.machine import IGNORE
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.faults import list_steps
from celery_config.saga.flow_facts import is_past_pivot
from celery_config.saga.models import OperatorAction, WatchedRow
from celery_config.saga.operations import approvals, barrier_client
from celery_config.saga.operations.acts import write_effect
from celery_config.saga.operations.audit_trail import check_reason, record_action
from celery_config.saga.operations.permissions import PERMISSIONS
from celery_config.saga.operations.previews import explain_refusal
from celery_config.saga.operations.wording import describe_status
from celery_config.saga.states import ENDED, Status

# In these, a call outside may have been open for so long that an operator must find its outcome.
IN_DOUBT = (Status.PARKED, Status.STOPPING, Status.FORWARD)
SETTLE = "settle by hand"
LONGEST_NOTE = 1000
"""That a participant takes."""
UNOWNED = "only what waits for a decision has an owner; this one is “{}”"
NOT_IN_DOUBT = "it is “{}”: no call has been open long enough to be settled by hand"


def perform(seen: WatchedRow, verb: str, *, by: str, why: str, in_batch: bool = False) -> OperatorAction:
    """Perform the verb and record the action, in one transaction.

    Args:
        seen: the row as it was read; it is locked and read again.
        in_batch: whether a batch does it, whose start was counted or approved.

    Raises:
        OperatorRefused: the status of the flow does not allow it, its data cannot be read, or the person has acted on
            too many alone.
    """
    check_reason(why)
    flow = find_flow(type(seen))
    course, proof = flow.find_course(seen), None
    if course.fault and seen.status not in ENDED:
        raise OperatorRefused(course.fault)
    # What the log knows already needs no proof: many may be resumed at once.
    if verb == "resume" and not is_past_pivot(list_steps(course)):
        proof = flow.find_proof(seen, barrier_client.read_barriers(course.steps, seen.pk))
    with transaction.atomic():
        if not in_batch:
            approvals.check_alone(verb, by=by)
        # The log before the row: locks in one order everywhere.
        step_log.merge_entries([proof] if proof else [])
        (row,) = flow.lock([seen.pk])
        work = UnitOfWork.begin(flow, [row])
        result_text = apply_verb(work, row, verb)
        work.write()
        return record_action(verb, row=row, by=by, why=why, result_text=result_text)


def apply_verb(work: UnitOfWork[Any, Any], row: WatchedRow, verb: str) -> str:
    """Apply the verb to a locked row, and return what it changes and sends; `work.write()` writes it.

    Raises:
        OperatorRefused: the status of the flow does not allow it, or its data cannot be read. The row is as it was.
    """
    before, trigger = row.status, work.flow.verbs[verb].triggers.get(Status(row.status))
    # What was parked before anything stopped it has no cause yet.
    cause = dict(CANCELLED_BY_US) if verb == "compensate" else None
    if verb == "retry" and before == Status.PARKED:
        cause = dict(BROUGHT_TO_AN_END)
    decision = work.apply_trigger(row, trigger, cause) if trigger else IGNORE
    if decision == IGNORE:
        raise OperatorRefused(explain_refusal(row, verb))
    return write_effect(
        before, row.status, work.flow.describe_send(row, decision.send) if decision.send else ()
    )


def take_over(seen: WatchedRow, *, by: str, why: str) -> OperatorAction:
    """Become the owner of a parked flow.

    Raises:
        OperatorRefused: it is not parked.
    """
    check_reason(why)
    with transaction.atomic():
        (row,) = find_flow(type(seen)).lock([seen.pk])
        if row.status != Status.PARKED:
            raise OperatorRefused(UNOWNED.format(describe_status(row.status)))
        effect, row.owner = f"owner {row.owner} to {by}", by
        row.save(update_fields=["owner"])
        return record_action("take over", row=row, by=by, why=why, result_text=effect)


def settle_by_hand(
    row: WatchedRow, step: str, operation: str, answer: dict[str, Any], *, by: str, why: str
) -> OperatorAction:
    """Send a participant the outcome of an open call, as the operator found it.

    The participant writes it over its open intent and announces it; ask for a retry afterwards. With
    `FOUR_EYES` this only asks for it, and `approvals.approve` does it.

    Args:
        step: its name in the flow's course.
        operation: `do` or `undo`.
        answer: as the provider would have answered; what the participant needs to write its own rows.

    Raises:
        OperatorRefused: the flow is neither parked, stopping nor forward, or the participant has no open intent.
        ServiceCallError: the participant did not answer.
    """
    check_reason(why)
    if row.status not in IN_DOUBT:
        raise OperatorRefused(NOT_IN_DOUBT.format(describe_status(row.status)))
    if settings.FOUR_EYES:
        barrier_client.find_command(find_flow(type(row)).find_course(row), step, operation)
        what = f"{step} ({operation})"
        return approvals.ask(
            SETTLE, row, what=what, by=by, why=why, step=step, operation=operation, answer=answer
        )
    return settle(row, step, operation, answer, by=by, why=why)


def settle(
    row: WatchedRow,
    step: str,
    operation: str,
    answer: dict[str, Any],
    *,
    by: str,
    why: str,
    asked_by: str = "",
) -> OperatorAction:
    """Send a participant the outcome of an open call. For arguments and errors see `settle_by_hand`."""
    course, who = find_flow(type(row)).find_course(row), join_names(asked_by, by)
    # Two people's reasons may be longer than a note; the trail keeps all of them.
    note = f"{why[: LONGEST_NOTE - len(who) - 3]} ({who})"
    result_text = barrier_client.send_settlement(
        course, row.pk, step, operation, row.subject, answer, note=note
    )
    return record_action(
        SETTLE,
        row=row,
        what=f"{step} ({operation})",
        by=by,
        asked_by=asked_by,
        why=why,
        result_text=result_text,
    )


def join_names(*names: str) -> str:
    return ", ".join(filter(None, names))


def settle_as_asked(request: ApprovalRequest, *, by: str, why: str, asked_by: str) -> OperatorAction:
    """Perform a settlement that another person asked for. For errors see `settle_by_hand`."""
    row = apps.get_model(request.kind)._default_manager.filter(pk=request.row).first()
    if row is None:
        raise OperatorRefused("what it was asked for is deleted: its time is over")
    if row.status not in IN_DOUBT:
        raise OperatorRefused(NOT_IN_DOUBT.format(describe_status(row.status)))
    return settle(row, **request.arguments, by=by, why=why, asked_by=asked_by)


def list_needs_to_settle(requests: Sequence[ApprovalRequest]) -> dict[UUID, tuple[str, ...]]:
    """Return what approving each settlement needs, by request."""
    return {request.pk: (PERMISSIONS[SETTLE],) for request in requests}


approvals.acts[SETTLE] = approvals.ApprovedAct(settle_as_asked, list_needs_to_settle)
