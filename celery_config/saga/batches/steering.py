"""Steering a batch: start, pause, resume and stop. The batch's row decides between two operators."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import Case, Value, When

from celery_config.common.identifiers import abbreviate_id
from celery_config.db.functions import Now
from celery_config.errors import OperatorRefused
from celery_config.saga.batches.counting import count_flows
from celery_config.saga.batches.models import Batch, BatchItem
from celery_config.saga.batches.states import BatchState, ItemState
from celery_config.saga.batches.telling import describe_state
from celery_config.saga.models import OperatorAction
from celery_config.saga.operations.audit_trail import check_reason, record_action

UNFINISHED = (
    BatchState.CHECKING, BatchState.READY, BatchState.TRYING, BatchState.RUNNING, BatchState.PAUSED,
)  # fmt: skip
FIRST = Case(When(one_first=True, then=Value(BatchState.TRYING)), default=Value(BatchState.RUNNING))
STEERS = {
    "start": ((BatchState.READY,), FIRST),
    "pause": ((BatchState.TRYING, BatchState.RUNNING), Value(BatchState.PAUSED)),
    # Also without waiting for the one that is tried: an operator has looked at it.
    "resume": ((BatchState.PAUSED, BatchState.TRYING), Value(BatchState.RUNNING)),
    "stop": (UNFINISHED, Value(BatchState.STOPPED)),
}
STOPPED = "the batch was stopped"


def steer(pk: UUID, act: str, *, by: str, why: str) -> OperatorAction:
    """Start, pause, resume or stop a batch; return the record of it.

    Raises:
        OperatorRefused: its state does not allow it.
        Batch.DoesNotExist: there is none.
    """
    check_reason(why)
    before, after = STEERS[act]
    with transaction.atomic():
        batch = Batch.objects.select_for_update().get(pk=pk)
        was = batch.state
        changed = {"state": after, "note": ""}
        if act == "start":
            changed["started_at"] = Now()
        if act == "stop":
            changed["ended_at"] = Now()
        if not Batch.objects.filter(pk=pk, state__in=before).update(**changed):
            raise OperatorRefused(
                f"a batch that is {was} does not {act}; one that does is {' or '.join(before)}"
            )
        if act == "stop":
            left = BatchItem.objects.filter(batch=pk, state__in=(ItemState.CHOSEN, ItemState.CHECKED))
            left.update(state=ItemState.LEFT, reason=STOPPED)
            count_flows(pk)
        batch.refresh_from_db()
        return record_action(
            f"{act} a batch",
            by=by,
            why=why,
            subject=str(pk),
            what=abbreviate_id(pk),
            result_text=f"{describe_state(was)} → {describe_state(batch.state)}",
        )
