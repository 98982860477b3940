"""Steering a batch: start, pause, resume and stop. The batch's row decides between two operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import transaction

from celery_config.common.identifiers import abbreviate_id
from celery_config.db.functions import Now
from celery_config.errors import OperatorRefused
from celery_config.saga.approvals.models import ApprovalRequest
from celery_config.saga.batches.counting import count_flows
from celery_config.saga.batches.models import Batch, BatchItem
from celery_config.saga.batches.states import BatchState, ItemState
from celery_config.saga.batches.telling import describe_state, describe_state_change
from celery_config.saga.models import DeadLetter, OperatorAction
from celery_config.saga.operations import approvals, permissions
from celery_config.saga.operations.acts import name_act
from celery_config.saga.operations.audit_trail import check_reason, record_action
from celery_config.saga.operations.permissions import STEERS_BATCHES

UNFINISHED = (
    BatchState.CHECKING, BatchState.READY, BatchState.TRYING, BatchState.RUNNING, BatchState.PAUSED,
)  # fmt: skip
STEERS = {
    "start": (BatchState.READY,),
    "pause": (BatchState.TRYING, BatchState.RUNNING),
    # Also without waiting for the one that is tried: an operator has looked at it.
    "resume": (BatchState.PAUSED, BatchState.TRYING),
    "stop": UNFINISHED,
}
"""The acts on a batch, and the states that allow each."""
AFTER = {"pause": BatchState.PAUSED, "resume": BatchState.RUNNING, "stop": BatchState.STOPPED}
STOPPED = "the batch was stopped"
START = "start a batch"
ACTING = ("start", "resume")
"""The acts after which a batch acts on flows."""


def list_needs(batch: Batch, act: str) -> tuple[str, ...]:
    """Return the permissions that an act on a batch needs."""
    if act not in ACTING:
        return (STEERS_BATCHES,)
    # A newer version may know more verbs than this one.
    of_letters = batch.kind == DeadLetter._meta.label_lower
    return permissions.list_needs(STEERS_BATCHES, batch.verb, of_letters=of_letters)


def name_steer(act: str) -> str:
    """Return the name of an act on a batch in the trail."""
    return f"{act} a batch"


def find_state_after(batch: Batch, act: str) -> BatchState:
    """Return the state in which an act leaves a batch."""
    if act == "start":
        return BatchState.TRYING if batch.one_first else BatchState.RUNNING
    return AFTER[act]


def explain_refusal(batch: Batch, act: str) -> str:
    """Return why a batch's state does not allow an act; empty: it does."""
    name, state = name_act(name_steer(act)), describe_state(batch.state)
    return "" if batch.state in STEERS[act] else f"“{name}” does not fit a batch that is “{state}”"


def steer(pk: UUID, act: str, *, by: str, why: str) -> OperatorAction:
    """Start, pause, resume or stop a batch; return the record of it.

    With `FOUR_EYES` the start is only asked for, and `approvals.approve` starts it, if it is large or the person has
    started or done much of the same within the hour.

    Raises:
        OperatorRefused: its state does not allow it, or its start is asked for already.
        Batch.DoesNotExist: there is none.
    """
    check_reason(why)
    with transaction.atomic():
        batch = Batch.objects.select_for_update().get(pk=pk)
        if why_not := explain_refusal(batch, act):
            raise OperatorRefused(why_not)
        count = sum(part["count"] for part in batch.sums)
        if act == "start" and not approvals.act_alone(batch.verb, by=by, count=count):
            what = f"{name_act(batch.verb)}: {count:,}"
            return approvals.ask(START, batch, by=by, why=why, what=what, subject=str(pk))
        return apply(batch, act, by=by, why=why)


def apply(batch: Batch, act: str, *, by: str, why: str, asked_by: str = "") -> OperatorAction:
    """Write an act on a locked batch whose state allows it; return the record of it."""
    pk, was = batch.pk, batch.state
    changed: dict[str, Any] = {"state": find_state_after(batch, act), "note": ""}
    if act == "start":
        changed["started_at"] = Now()
    if act == "stop":
        changed["ended_at"] = Now()
    Batch.objects.filter(pk=pk).update(**changed)
    if act == "stop":
        left = BatchItem.objects.filter(batch=pk, state__in=(ItemState.CHOSEN, ItemState.CHECKED))
        left.update(state=ItemState.LEFT, reason=STOPPED)
        count_flows(pk)
    batch.refresh_from_db()
    return record_action(
        name_steer(act),
        by=by,
        asked_by=asked_by,
        why=why,
        subject=str(pk),
        what=abbreviate_id(pk),
        result_text=describe_state_change(was, batch.state),
    )


def start_as_asked(request: ApprovalRequest, *, by: str, why: str, asked_by: str) -> OperatorAction:
    """Start a batch as another person asked for.

    Raises:
        OperatorRefused: its state does not allow it, or it is deleted.
    """
    batch = Batch.objects.select_for_update().filter(pk=request.row).first()
    if batch is None:
        raise OperatorRefused("the batch is deleted: its time is over")
    if why_not := explain_refusal(batch, "start"):
        raise OperatorRefused(why_not)
    return apply(batch, "start", by=by, why=why, asked_by=asked_by)


def list_needs_to_start(requests: Sequence[ApprovalRequest]) -> dict[UUID, tuple[str, ...]]:
    """Return what approving the start of each batch needs, by request."""
    batches = Batch.objects.in_bulk([request.row for request in requests])
    return {
        request.pk: list_needs(batches[request.row], "start") if request.row in batches else (STEERS_BATCHES,)
        for request in requests
    }


approvals.acts[START] = approvals.ApprovedAct(start_as_asked, list_needs_to_start)
