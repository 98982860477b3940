"""What a participant is asked to do, how it says what it can, and what a transaction leaves behind of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar
from uuid import UUID, uuid5

from celery_config.contracts.base import Command, Event, Reply, command_id, decode, encode
from celery_config.db import bulk
from celery_config.errors import Refused
from celery_config.messaging.barrier import store
from celery_config.messaging.barrier.decisions import Row
from celery_config.messaging.barrier.store import AnyRow
from celery_config.messaging.outbox import writing
from celery_config.messaging.states import Action, Undo

D = TypeVar("D")
S = TypeVar("S", bound="Step")
FindHandler = Callable[[str], "Handler | None"]
LocalStep = Callable[[Sequence[Any]], Sequence[Reply | Refused | None]]


class OutsideStep(Protocol):
    """A step whose effect is at a provider: requests are stored, calls made, their answers settled (rule 8)."""

    def requests(self, commands: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the full request of each, from the command and our own rows; committed before the call."""

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        """Make one call with `key` as idempotency key and return the answer; others are under way meanwhile.

        Raises:
            Refused: the provider's final no.
            Unknown: nobody knows; the call will be repeated with the same key.
        """

    def settle(self, answered: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> Sequence[Reply | None]:
        """Write (request, answer) into our own rows and return the replies (None for an undo)."""


@dataclass(frozen=True)
class Handler:
    """How a participant carries out one kind of command: in its own database, or outside."""

    command: type[Command]
    local: LocalStep | None = None
    outside: OutsideStep | None = None


@dataclass(frozen=True)
class Step:
    """One message to a participant."""

    saga: UUID
    name: str
    operation: str
    subject: str
    command: Command | None = field(default=None, repr=False)

    @cached_property
    def id(self) -> UUID:
        return command_id(self.saga, self.name, self.operation)

    @cached_property
    def key(self) -> UUID:
        """Of its barrier row, which action, undo and fence share."""
        return command_id(self.saga, self.name, "do")

    def announcement(self, event: Event, outcome: str) -> dict[str, Any] | None:
        """The CloudEvent that tells everybody; the saga log of the orchestrator is fed from this (rule 16)."""
        return step_event(self, event, outcome)

    def again(self, handler: Handler, outcome: Any) -> dict[str, Any] | None:
        """What is told of an outcome that was there before; nothing, where a chain carries it on."""
        return None


@dataclass
class StepWrites:
    """What one transaction writes into barrier and outbox, collected and written at once."""

    rows: dict[UUID, AnyRow] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    def set(self, row: AnyRow, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(row, name, value)
        self.rows[row.key] = row

    def announce(self, step: Step, event: Event, outcome: str) -> None:
        """Say what became of the step, if it has anything to say of that."""
        if told := step.announcement(event, outcome):
            self.events.append(told)

    def done(self, step: Step, row: AnyRow, reply: Reply) -> dict[str, Any]:
        stored = encode(reply)
        self.set(row, action=Action.DONE.value, reply=stored)
        self.announce(step, reply, "done")
        return stored

    def refused(self, handler: Handler, step: Step, row: AnyRow, error: Refused) -> None:
        kind = handler.command.refused
        if kind is None:
            raise forbidden_refusal(handler) from error
        refusal = kind(code=error.code, reason=error.reason)
        self.set(row, action=Action.REFUSED.value, reply=encode(refusal))
        self.announce(step, refusal, "refused")

    def undone(self, step: Step, row: AnyRow) -> None:
        """An undo's reply says only which order: its fields are the undo command's own."""
        assert step.command is not None
        self.set(row, undo=Undo.DONE.value)
        self.announce(step, decode(type(step.command).done, encode(step.command)), "undone")

    def found(self, handler: Handler, step: Step, outcome: Any) -> None:
        """Somebody else wrote it; whoever waits for just this step's word is told all the same."""
        if told := step.again(handler, outcome):
            self.events.append(told)

    def insert(self) -> None:
        """Write rows that are not there yet.

        Raises:
            IntegrityError: one is.
        """
        bulk.execute(*store.insert_statement(self.rows.values()), *writing.event_statements(self.events))

    def write(self) -> None:
        """Write over rows that are claimed or locked."""
        stored = store.update_statement(self.rows.values(), "action", "undo", "reply", "note")
        bulk.execute(*stored, *writing.event_statements(self.events))


def claim_steps(
    messages: Sequence[S], rows: Mapping[UUID, AnyRow], decide: Callable[[Row | None], D]
) -> list[tuple[S, AnyRow, D]]:
    """Claim the rows, by key; return what to do about each step, with its row, ours or the one that was there."""
    there = store.claim_rows(list(rows.values()))
    return [
        (step, there.get(step.key, rows[step.key]), decide(store.pure_row(row) if row else None))
        for step in messages
        for row in [there.get(step.key)]
    ]


def step_event(step: Step, event: Event, outcome: str) -> dict[str, Any]:
    return writing.cloud_event(
        event,
        subject=step.subject,
        saga=step.saga,
        event_id=uuid5(step.id, outcome),
        step=step.name,
        operation=step.operation,
        outcome=outcome,
    )


def forbidden_refusal(handler: Handler) -> RuntimeError:
    """Past the pivot, and in an undo, a "no" is an error: nothing is stored and it is tried again (rule 6)."""
    return RuntimeError(f"{handler.command.__name__} may not be refused")


def stored_refusal(row: AnyRow) -> dict[str, Any]:
    """Why the step was refused, if it was; the stop chain carries it home."""
    return {row.step: row.reply} if row.action == Action.REFUSED and row.reply else {}
