"""A human tells what became of a call outside, when nobody else can: the answer is written as the provider's own."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from celery_config.contracts.base import command_id, decode
from celery_config.errors import OperatorRefused
from celery_config.messaging.barrier.actions import PendingCall, store_answers
from celery_config.messaging.barrier.compensations import store_undo_answers
from celery_config.messaging.barrier.steps import FindHandler, Handler, Step, StepWrites
from celery_config.messaging.models import BarrierRow
from celery_config.messaging.states import Action, Undo


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
    """Write `answer` over the open intent of a step's action (`do`) or of its undo (`undo`).

    Args:
        find: gives a handler by its command's name.
        task: wire name of the action's or undo's command.
        subject: what the saga is about: the order.
        command: the command's fields.
        answer: what the provider would have answered.
        note: who says so, and why; kept in the barrier.

    Returns:
        What was done, in words.

    Raises:
        OperatorRefused: there is no open intent of this operation.
        msgspec.ValidationError: the command or the answer lacks something.
    """
    handler = find(task)
    row = BarrierRow.objects.select_for_update().filter(key=command_id(saga, step, "do")).first()
    if handler is None or row is None:
        raise OperatorRefused(f"{step} never came here, so nothing of it is in doubt")
    written = StepWrites()
    if operation == "do":
        told = store_action_answer(handler, row, Step(saga, step, operation, subject), answer, written)
    else:
        message = Step(saga, step, operation, subject, decode(handler.command, command))
        told = store_undo_answer(handler, row, message, answer, written)
    written.set(row, note=note)
    written.write()
    return told


def store_action_answer(
    handler: Handler, row: BarrierRow, message: Step, answer: dict[str, Any], written: StepWrites
) -> str:
    if handler.outside is None or row.action != Action.INTENT or row.undo != Undo.NONE:
        raise OperatorRefused(f"{row.step} has no open call: its barrier says {row.action}")
    store_answers([(PendingCall(handler, message, row.request), answer)], {row.key: row}, written)
    return f"{row.step} is done, says a human"


def store_undo_answer(
    handler: Handler, row: BarrierRow, message: Step, answer: dict[str, Any], written: StepWrites
) -> str:
    if handler.outside is None or row.undo != Undo.INTENT:
        raise OperatorRefused(f"the undo of {row.step} has no open call: {row.undo or 'it never came here'}")
    if row.action == Action.INTENT:
        # The action itself was never settled: nothing is live there, says the human, so nothing was ever done.
        written.set(row, action=Action.REFUSED.value)
        written.undone(message, row)
    else:
        (request,) = handler.outside.requests([message.command])
        store_undo_answers([(PendingCall(handler, message, request), answer)], {row.key: row}, written)
    return f"{row.step} is undone, says a human"
