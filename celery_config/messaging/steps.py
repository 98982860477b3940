"""One step at a participant whose effect is in its own database: barrier, work and event in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID, uuid5

from celery.exceptions import Reject
from django.db import transaction

from celery_config import topology
from celery_config.errors import CommandConflict, Refused, StepOutlived
from celery_config.messages import Command, Event, Reply, command_hash, command_id, decode, encode
from celery_config.messaging import barrier, outbox
from celery_config.messaging.decisions import (
    Action,
    OnAction,
    OnFence,
    OnUndo,
    Undo,
    on_action,
    on_fence,
    on_undo,
)
from celery_config.messaging.models import BarrierRow

PIVOT_RAN = f"{topology.ORCHESTRATOR}.pivot_ran"


class OutsideStep(Protocol):
    """A step whose effect is at a provider: the request is stored, the call made, its answer settled (rule 8)."""

    def request(self, command: Any) -> dict[str, Any]:
        """Return the full request, from the command and our own rows; it is committed before the call."""

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        """Make the call with `key` as idempotency key and return the answer.

        Raises:
            Refused: the provider's final no.
            Unknown: nobody knows; the call will be repeated with the same key.
        """

    def settle(self, request: dict[str, Any], answer: dict[str, Any]) -> Reply | None:
        """Write the answer into our own rows and return the reply (None for an undo)."""


@dataclass(frozen=True)
class Handler:
    """How a participant carries out one kind of command: in its own database, or outside."""

    command: type[Command]
    local: Callable[[Any], Reply | None] | None = None
    outside: OutsideStep | None = None


@dataclass(frozen=True)
class Step:
    """One message to a participant."""

    saga: UUID
    name: str
    operation: str
    subject: str
    command: Command | None = field(default=None, repr=False)

    @property
    def id(self) -> UUID:
        return command_id(self.saga, self.name, self.operation)


def act(handler: Handler, step: Step) -> dict[str, Any]:
    """Carry out a local action once and return its reply, now or as it was stored.

    Raises:
        Refused, StepOutlived: the chain stops here.
    """
    assert handler.local is not None
    digest = command_hash(step.command)
    refusal: Refused | None = None
    with transaction.atomic():
        made = barrier.claim(
            step.saga, step.name, handler.command.wire_name(), command_hash=digest, action=Action.DONE
        )
        if not made:
            return replay(barrier.lock(step.saga, step.name), digest)
        try:
            with transaction.atomic():
                reply = handler.local(step.command)
        except Refused as error:
            refusal = error
            store_refusal(handler, step, error)
        else:
            assert reply is not None
            stored = store_reply(step, reply)
    if refusal:
        raise refusal
    return stored


def replay(row: BarrierRow, digest: str) -> dict[str, Any]:
    """Answer a repeat from what is stored."""
    match on_action(barrier.state(row), digest):
        case OnAction.REPLY_AGAIN:
            return dict(row.reply)
        case OnAction.REFUSE_AGAIN:
            raise Refused(row.reply["code"], row.reply["reason"])
        case OnAction.OUTLIVED:
            raise StepOutlived(f"{row.step} of saga {row.saga} was undone or fenced; it will not run")
        case OnAction.CONFLICT:
            conflict = CommandConflict(
                f"{row.step} of saga {row.saga} came again with other contents; compare the dead letter with the"
                f" {row.command} in the barrier"
            )
            raise Reject(conflict, requeue=False)
    raise AssertionError(f"a local step left {row.action} behind")


def store_reply(step: Step, reply: Reply) -> dict[str, Any]:
    stored = encode(reply)
    barrier.write(step.saga, step.name, action=Action.DONE, reply=stored)
    announce(step, reply, "done")
    return stored


def store_refusal(handler: Handler, step: Step, error: Refused) -> None:
    kind = handler.command.refused
    if kind is None:
        raise unrefusable(handler) from error
    refusal = kind(code=error.code, reason=error.reason)
    barrier.write(step.saga, step.name, action=Action.REFUSED, reply=encode(refusal))
    announce(step, refusal, "refused")


def unrefusable(handler: Handler) -> RuntimeError:
    """Past the pivot, and in an undo, a "no" is an error: nothing is stored and it is tried again (rule 6)."""
    return RuntimeError(f"{handler.command.__name__} may not be refused")


def announce(step: Step, event: Event, outcome: str) -> None:
    """Tell everybody; the saga log of the orchestrator is fed from this (rule 16)."""
    outbox.add_event(
        event,
        subject=step.subject,
        saga=step.saga,
        event_id=uuid5(step.id, outcome),
        step=step.name,
        operation=step.operation,
        outcome=outcome,
    )


def refusal_of(step: Step) -> dict[str, Any] | None:
    """The stored refusal of the step's action, if it was refused; the stop chain carries it home."""
    row = BarrierRow.objects.filter(key=command_id(step.saga, step.name, "do"), action=Action.REFUSED).first()
    return row.reply if row else None


def begin_undo(handler: Handler, step: Step) -> OnUndo:
    """First transaction of an undo: the tombstone, or the local undo itself, or the open undo intent (rule 7)."""
    with transaction.atomic():
        made = barrier.claim(step.saga, step.name, "", action=Action.TOMBSTONE, undo=Undo.DONE)
        row = None if made else barrier.lock(step.saga, step.name)
        decision = on_undo(barrier.state(row) if row else None)
        match decision:
            case OnUndo.TOMBSTONE:
                announce_undone(step)
            case OnUndo.NOTHING_TO_UNDO:
                finish_undo(step)
            case OnUndo.UNDO if handler.local:
                handler.local(step.command)
                finish_undo(step)
                return OnUndo.REPEAT
            case OnUndo.UNDO | OnUndo.SETTLE_FIRST:
                barrier.write(step.saga, step.name, undo=Undo.INTENT)
    return decision


def finish_undo(step: Step) -> None:
    barrier.write(step.saga, step.name, undo=Undo.DONE)
    announce_undone(step)


def announce_undone(step: Step) -> None:
    """An undo's reply says only which order: its fields are the undo command's own."""
    assert step.command is not None
    announce(step, decode(type(step.command).done, encode(step.command)), "undone")


def begin_fence(step: Step, pivot: str) -> OnFence:
    """First transaction of the fence: a tombstone if the pivot never ran, word of it if it did (rule 13)."""
    with transaction.atomic():
        made = barrier.claim(step.saga, step.name, pivot, action=Action.TOMBSTONE)
        row = None if made else barrier.lock(step.saga, step.name)
        decision = on_fence(barrier.state(row) if row else None)
        if decision is OnFence.RAN:
            assert row is not None
            report_pivot(step, row.reply)
    return decision


def report_pivot(step: Step, reply: dict[str, Any]) -> None:
    """Promise the orchestrator the proof that the pivot ran, with its reply."""
    outbox.add_task(
        {
            "task": PIVOT_RAN,
            "args": [],
            "kwargs": {"saga": str(step.saga), "step": step.name, "reply": reply},
            "options": {
                **topology.commands_to(topology.ORCHESTRATOR),
                **topology.shown(saga=step.saga, step=step.name, subject=step.subject),
            },
        },
        saga=step.saga,
    )
