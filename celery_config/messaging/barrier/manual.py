"""Manual settlement: an operator says how a call ended, and the barrier stores it as the provider's own answer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from celery_config.contracts.base import command_id, decode
from celery_config.errors import OperatorRefused, Refused
from celery_config.messaging.barrier.actions import PendingCall, store_answers
from celery_config.messaging.barrier.compensations import store_undo_answers
from celery_config.messaging.barrier.steps import FindHandler, Handler, StepRequest, StepWrites
from celery_config.messaging.models import BarrierRow
from celery_config.messaging.retention import is_too_old
from celery_config.messaging.states import Action, Undo

REFUSAL = {"code", "reason"}


@transaction.atomic
def settle_manually(
    find: FindHandler,
    *,
    task: str,
    saga: UUID,
    step: str,
    operation: str,
    subject: str,
    command: dict[str, Any],
    answer: dict[str, Any],
    note: str,
) -> str:
    """Store `answer` over the open intent of a step's action (`do`) or of its undo (`undo`).

    Args:
        find: gives a handler by its command's name.
        task: wire name of the action's or undo's command.
        subject: what the saga is about: the order.
        command: the command's fields.
        answer: what the provider would have answered; of a refused action its `code` and `reason`.
        note: who says so, and why; the barrier keeps it.

    Returns:
        What was done, as a sentence.

    Raises:
        OperatorRefused: there is no open intent of this operation.
        msgspec.ValidationError: the command or the answer lacks something.
    """
    handler = find(task)
    row = BarrierRow.objects.select_for_update().filter(key=command_id(saga, step, "do")).first()
    if handler is None or row is None:
        forgotten = (
            ", or its barrier row was deleted before old sagas kept theirs" if is_too_old(saga) else ""
        )
        raise OperatorRefused(
            f"{step} has no barrier row here{forgotten}: no call of it can be settled; if the saga log knows it as"
            " done, this service's database was set back, and ./manage.py SERVICE recover mends it"
        )
    undo = decode(handler.command, command) if operation == "undo" else None
    target = StepRequest(saga, step, operation, subject, undo)
    writes = StepWrites({row.key: row})
    store_answer = store_action_answer if operation == "do" else store_undo_answer
    result = store_answer(handler, row, target, answer, writes)
    writes.update(target, note=note)
    writes.flush()
    return result


def store_action_answer(
    handler: Handler, row: BarrierRow, step: StepRequest, answer: dict[str, Any], writes: StepWrites
) -> str:
    if handler.outside is None or row.action != Action.INTENT or row.undo != Undo.NONE:
        if row.undo == Undo.INTENT:
            raise OperatorRefused(f"{row.step} is being undone: settle its undo (undo), not the action (do)")
        raise OperatorRefused(f"{row.step} has no open call: its barrier says {row.action}")
    told = Refused(answer["code"], answer["reason"]) if answer.keys() == REFUSAL else answer
    if isinstance(told, Refused):
        if handler.command.refused is None:
            raise OperatorRefused(f"{row.step} may not be refused: only what it did can be told")
        handler.record_refusal(row.request, told)
    store_answers([(PendingCall(handler, step, row.request), told)], writes)
    return f"{row.step} is recorded as {'refused' if isinstance(told, Refused) else 'done'}"


def store_undo_answer(
    handler: Handler, row: BarrierRow, step: StepRequest, answer: dict[str, Any], writes: StepWrites
) -> str:
    if handler.outside is None or row.undo != Undo.INTENT:
        if row.action == Action.INTENT and row.undo == Undo.NONE:
            raise OperatorRefused(f"the undo of {row.step} has not begun: settle the action (do)")
        raise OperatorRefused(f"the undo of {row.step} has no open call: {row.undo or 'it never came here'}")
    if row.action == Action.INTENT:
        # The action's own call is still open: the operator says that nothing is live there, so nothing was done.
        writes.update(step, action=Action.REFUSED)
        writes.mark_undone(step)
    else:
        (request,) = handler.make_requests([step])
        store_undo_answers([(PendingCall(handler, step, request), answer)], writes)
    return f"{row.step} is recorded as undone"
