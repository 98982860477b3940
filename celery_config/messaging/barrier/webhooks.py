"""Webhooks settle doubts early: an event is stored over an open intent as the call's answer (rule 8, effects outside).

No webhook is ever needed: the worker repeats the call, and so do undo and fence. Nor does a webhook carry the chain on.
What it writes goes to the saga log as the step's event (rule 16, the saga log), which turns a saga forward if the step
is its pivot. The chain goes on when the worker's next try finds the stored reply or, without a next try, by a drive
(rule 17, the watchdog). So a webhook that is lost, late or repeated costs time at most.

A signature does not make an event true. The call must be ours and made for exactly this command, and the event's facts
must be those of the request. Any other event changes nothing and is kept as a `Contradiction`, because an effect may
stand behind it that this service does not know. The lock of the barrier row decides whether the webhook or the call's
own answer is stored; the row's state and the contradiction's unique key show whether a webhook is a repeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction

from celery_config.contracts.base import Command, command_id, contract_fields
from celery_config.errors import OrderSagaError, Refused
from celery_config.messaging.barrier import store
from celery_config.messaging.barrier.actions import PendingCall, find_calling_handler, store_answers
from celery_config.messaging.barrier.compensations import store_undo_answers
from celery_config.messaging.barrier.decisions import OnNotification, on_notification
from celery_config.messaging.barrier.steps import FindHandler, StepRequest, StepWrites
from celery_config.messaging.models import BarrierRow, Contradiction
from celery_config.messaging.states import Action, Undo

log = structlog.get_logger(__name__)


class NotificationResult(StrEnum):
    SETTLED = "settled"
    KNOWN = "known"
    CONTRADICTS = "contradicts"


@dataclass(frozen=True)
class OutcomeNotification:
    """What an event says about one of our calls, in the terms of the step that made it.

    Args:
        event: the event's id, and `kind` its type, both as the sender names them.
        key: the idempotency key of the call: our command id.
        command: what the call was made for.
        subject: the order.
        facts: what the event says the request was; fields of the request that is stored with the intent.
        answer: what the call answered, or would have.
        undo: the undo's command, if the call was an undo's.
    """

    event: str
    kind: str
    key: UUID
    command: type[Command]
    subject: UUID
    facts: Mapping[str, Any]
    answer: dict[str, Any] | Refused = field(default_factory=dict)
    undo: Command | None = None


class Contradicted(OrderSagaError):
    """The event and our rows cannot both be right."""


@transaction.atomic
def receive_notification(find: FindHandler, notification: OutcomeNotification) -> NotificationResult:
    """Settle the call of the notification, if its outcome is in doubt.

    Args:
        find: gives a handler by its command's name.

    Raises:
        OperationalError: the database is away or a lock is held too long; nothing is kept, the sender repeats.
    """
    bound = {
        "event_id": notification.event,
        "kind": notification.kind,
        "order": str(notification.subject),
        "key": str(notification.key),
    }
    try:
        # A savepoint: what a handler wrote before our rows contradicted it is rolled back.
        with transaction.atomic():
            row = lock_row(notification)
            bound |= row.log_ids if row else {}
            store_answer = store_undo_answer if notification.undo else store_action_answer
            settled = store_answer(find, notification, row)
    except (OrderSagaError, IntegrityError) as error:
        log.error("event contradicts what we know; nothing was changed", reason=str(error), **bound)
        keep_contradiction(notification, str(error))
        return NotificationResult.CONTRADICTS
    if settled:
        log.info("event settled a doubt", **bound)
    else:  # most of them: the answer came first
        log.debug("event told what we knew", **bound)
    return NotificationResult.SETTLED if settled else NotificationResult.KNOWN


def lock_row(notification: OutcomeNotification) -> BarrierRow | None:
    """Lock and return the row of the step that made the call; of an undo only while it is in doubt."""
    if notification.undo:
        return lock_open_undo(notification)
    return BarrierRow.objects.select_for_update().filter(key=notification.key).first()


def store_action_answer(find: FindHandler, notification: OutcomeNotification, row: BarrierRow | None) -> bool:
    """Store the answer of an action's call over its open intent; return False if the row says the same already.

    Raises:
        Contradicted: the row or the request says otherwise.
    """
    done = not isinstance(notification.answer, Refused)
    decision = on_notification(store.pure_row(row) if row else None, done=done)
    if row is None:
        raise Contradicted("no call of ours has this key")
    if decision is OnNotification.CONTRADICTS:
        raise Contradicted(f"{row.step} of saga {row.saga} is {row.action} here")
    if row.command != notification.command.wire_name():
        raise Contradicted(f"the key is that of {row.command}")
    check_facts(row.request or {}, notification.facts)
    if decision is OnNotification.KNOWN:
        return False
    step = StepRequest(row.saga, row.step, "do", str(notification.subject))
    pending = PendingCall(find_calling_handler(find, row.command), step, row.request)
    writes = StepWrites({row.key: row})
    answer = notification.answer
    store_answers([(pending, pending.cut_private(answer) if isinstance(answer, Refused) else answer)], writes)
    writes.flush()
    return True


def store_undo_answer(find: FindHandler, notification: OutcomeNotification, row: BarrierRow | None) -> bool:
    """Store the answer of an undo's call, if its intent is open; return False if it is not: nothing is in doubt."""
    assert notification.undo is not None
    assert not isinstance(notification.answer, Refused), "an undo is not refused"
    if row is None:
        return False
    handler = find_calling_handler(find, notification.undo.wire_name())
    step = StepRequest(row.saga, row.step, "undo", str(notification.subject), notification.undo)
    (request,) = handler.make_requests([step])
    check_facts(request, notification.facts)
    writes = StepWrites({row.key: row})
    store_undo_answers([(PendingCall(handler, step, request), notification.answer)], writes)
    writes.flush()
    return True


def lock_open_undo(notification: OutcomeNotification) -> BarrierRow | None:
    """The row whose undo made the call. Its key is the action's, so the search is among the subject's open undos."""
    about = contract_fields(notification.command)[0].name
    rows = BarrierRow.objects.select_for_update().filter(
        command=notification.command.wire_name(),
        undo=Undo.INTENT,
        action=Action.DONE,
        **{f"request__{about}": str(notification.subject)},
    )
    return next((row for row in rows if command_id(row.saga, row.step, "undo") == notification.key), None)


def check_facts(request: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Raise Contradicted unless the event's facts are those of our request."""
    wrong = [
        f"{name}: asked {request.get(name)}, reported {value}"
        for name, value in facts.items()
        if request.get(name) != value
    ]
    if wrong:
        raise Contradicted("; ".join(wrong))


def keep_contradiction(notification: OutcomeNotification, reason: str) -> None:
    """Keep it for an operator, once."""
    # Of a refusal only the code: its text may carry data of a request that is not ours to compare with.
    answer = notification.answer.code if isinstance(notification.answer, Refused) else notification.answer
    row = Contradiction(
        event=notification.event,
        kind=notification.kind,
        key=notification.key,
        subject=notification.subject,
        reason=reason,
        told={**notification.facts, "answer": answer},
    )
    Contradiction.objects.bulk_create([row], ignore_conflicts=True)
