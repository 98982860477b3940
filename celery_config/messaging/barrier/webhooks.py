"""A webhook is a hint that settles a doubt: it is written over an open intent as the call's own answer (rule 8).

It is never needed. Whoever made the call repeats it, and so do undo and fence; the hint only comes sooner. Nor does it
carry the chain on. What it writes goes to the saga log as the step's event (rule 16), which turns a saga forward whose
pivot it was; the chain itself goes on when the worker's own next try finds the stored reply, and if there is no next
try, by the watchdog's drive (rule 17). So an event that is lost, late or repeated costs time at most.

A signature does not make it true. The call must be one of ours, made for just this command, and what it tells must be
what was asked for. Everything else changes nothing and is kept as a `Contradiction`, since behind it may be an effect
that nobody here knows of. Which of the hint and the call's own answer is written is decided by the lock of the barrier
row; whether a hint is a repeat, by the row's state and the contradiction's unique key.
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
from celery_config.messaging.barrier.actions import PendingCall, store_answers
from celery_config.messaging.barrier.compensations import store_undo_answers
from celery_config.messaging.barrier.decisions import OnNotification, on_notification
from celery_config.messaging.barrier.steps import FindHandler, Handler, Step, StepWrites
from celery_config.messaging.models import BarrierRow, Contradiction
from celery_config.messaging.states import Action, Undo

log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    SETTLED = "settled"
    KNOWN = "known"
    CONTRADICTS = "contradicts"


@dataclass(frozen=True)
class OutcomeNotification:
    """What an event says of one of our calls, in the words of the step that made it.

    Args:
        event: the event's id, and `kind` its type, in the sender's words.
        key: the idempotency key of the call: our command id.
        command: what the call was made for.
        subject: the order.
        facts: what was asked for, as they tell it; fields of the request that is stored with the intent.
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
def receive_notification(find: FindHandler, hint: OutcomeNotification) -> Outcome:
    """Settle what the hint is about, if it is in doubt.

    Args:
        find: gives a handler by its command's name.

    Raises:
        OperationalError: the database is away or a lock is held too long; nothing is kept, the sender repeats.
    """
    bound = {"event_id": hint.event, "kind": hint.kind, "order": str(hint.subject), "key": str(hint.key)}
    try:
        # A savepoint: what a handler wrote before our rows contradicted it goes back.
        with transaction.atomic():
            settled = store_undo_answer(find, hint) if hint.undo else store_action_answer(find, hint)
    except (OrderSagaError, IntegrityError) as error:
        log.error("event contradicts what we know; nothing was changed", reason=str(error), **bound)
        keep_contradiction(hint, str(error))
        return Outcome.CONTRADICTS
    log.info("event settled a doubt" if settled else "event told what we knew", **bound)
    return Outcome.SETTLED if settled else Outcome.KNOWN


def store_action_answer(find: FindHandler, hint: OutcomeNotification) -> bool:
    """Write the answer of an action's call over its open intent; False when there is none."""
    row = BarrierRow.objects.select_for_update().filter(key=hint.key).first()
    decision = on_notification(
        store.pure_row(row) if row else None, done=not isinstance(hint.answer, Refused)
    )
    if row is None:
        raise Contradicted("no call of ours has this key")
    if decision is OnNotification.CONTRADICTS:
        raise Contradicted(f"{row.step} of saga {row.saga} is {row.action} here")
    if row.command != hint.command.wire_name():
        raise Contradicted(f"the key is that of {row.command}")
    check_facts(row.request or {}, hint.facts)
    if decision is OnNotification.KNOWN:
        return False
    step = Step(row.saga, row.step, "do", str(hint.subject))
    written = StepWrites()
    asked = PendingCall(handler_of(find, row.command), step, row.request)
    store_answers([(asked, hint.answer)], {row.key: row}, written)
    written.write()
    return True


def store_undo_answer(find: FindHandler, hint: OutcomeNotification) -> bool:
    """Write the answer of an undo's call, if that is open; an undo that nobody waits for is nobody's doubt."""
    assert hint.undo is not None
    assert not isinstance(hint.answer, Refused), "an undo is not refused"
    row = find_open_undo(hint)
    if row is None:
        return False
    handler = handler_of(find, hint.undo.wire_name())
    assert handler.outside is not None
    step = Step(row.saga, row.step, "undo", str(hint.subject), hint.undo)
    (request,) = handler.outside.requests([hint.undo])
    check_facts(request, hint.facts)
    written = StepWrites()
    store_undo_answers([(PendingCall(handler, step, request), hint.answer)], {row.key: row}, written)
    written.write()
    return True


def find_open_undo(hint: OutcomeNotification) -> BarrierRow | None:
    """The row whose undo made the call. Its key is the action's, so it is sought among the open ones of the subject."""
    about = contract_fields(hint.command)[0].name
    rows = BarrierRow.objects.select_for_update().filter(
        command=hint.command.wire_name(),
        undo=Undo.INTENT,
        action=Action.DONE,
        **{f"request__{about}": str(hint.subject)},
    )
    return next((row for row in rows if command_id(row.saga, row.step, "undo") == hint.key), None)


def handler_of(find: FindHandler, command: str) -> Handler:
    handler = find(command)
    if handler is None or handler.outside is None:
        raise Contradicted(f"{command} has no handler here that calls anybody")
    return handler


def check_facts(request: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Raise Contradicted unless what they tell is what we asked for."""
    wrong = [
        f"{name}: asked {request.get(name)}, told {told}"
        for name, told in facts.items()
        if request.get(name) != told
    ]
    if wrong:
        raise Contradicted("; ".join(wrong))


def keep_contradiction(hint: OutcomeNotification, reason: str) -> None:
    """Keep it for a human, once."""
    refused = isinstance(hint.answer, Refused)
    told = {**hint.facts, "answer": str(hint.answer) if refused else hint.answer}
    row = Contradiction(
        event=hint.event, kind=hint.kind, key=hint.key, subject=hint.subject, reason=reason, told=told
    )
    Contradiction.objects.bulk_create([row], ignore_conflicts=True)
