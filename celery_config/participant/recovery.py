"""A participant's recovery: barrier rows that its restored database lost, as the order service's log proves them.

The log knows a step as done because the participant said so in the transaction that wrote the barrier row. What the
step did stands in the service's own rows, which each service recovers with the books outside: see its `recovery.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings

from celery_config.common.services import ORCHESTRATOR
from celery_config.contracts.base import Command, command_hash, command_id, decode
from celery_config.db.functions import Now
from celery_config.http.service_client import ServiceClient
from celery_config.messaging.models import BarrierRow
from celery_config.messaging.states import Action, Undo

DONE, UNDONE = "done", "undone"
# What is parked is stopped by a retry, or goes forward because its pivot is proven to have run.
BEING_STOPPED = ("stopping", "parked")


@dataclass(frozen=True)
class KnownStep:
    """What the order service knows of one step here.

    Args:
        command: its wire name.
        logged: `done`, `undone`, `refused`, or empty: nothing is known.
        fields: those of the command, as far as they are known.
    """

    step: str
    command: str
    logged: str
    reply: dict[str, Any] | None
    fields: dict[str, Any]

    @property
    def was_done(self) -> bool:
        """Whether the step was done, even if it was undone later; a tombstone has no reply."""
        return self.logged == DONE or (self.logged == UNDONE and bool(self.reply))


@dataclass(frozen=True)
class KnownFlow:
    """What the order service knows of one saga's, or choreographed order's, steps here."""

    saga: UUID
    order: UUID
    name: str
    status: str
    steps: tuple[KnownStep, ...]

    def find(self, command: type[Command]) -> KnownStep | None:
        return next((step for step in self.steps if step.command == command.wire_name()), None)

    def decode_command(self, command: type[Command]) -> Any:
        """The command as it was sent, or None if a field of it is not known any more."""
        step = self.find(command)
        try:
            return decode(command, step.fields) if step else None
        except msgspec.ValidationError:
            return None


@dataclass(frozen=True)
class _Page:
    flows: tuple[KnownFlow, ...]
    next: str


def read_flows() -> Iterator[KnownFlow]:
    """Every flow with steps here, oldest first.

    Raises:
        ServiceCallError: the order service does not answer.
    """
    peer, path = ServiceClient(ORCHESTRATOR), f"/api/sagas/known/?service={settings.SERVICE}"
    page = decode(_Page, peer.get(path))
    yield from page.flows
    while page.next:
        page = decode(_Page, peer.get(f"{path}&after={page.next}"))
        yield from page.flows


@dataclass(frozen=True)
class LostRow:
    """A barrier row that is missing here, or older than what is known of its step.

    Args:
        never_ran: the step must not run any more, as a fence would have it.
    """

    flow: KnownFlow
    step: KnownStep
    never_ran: bool = False

    @property
    def key(self) -> UUID:
        return command_id(self.flow.saga, self.step.step, "do")

    def write(self, command: type[Command], note: str, *, reply: Any = None, request: Any = None) -> None:
        """Write the row as the step's own transaction would have.

        Args:
            reply: where the log has none.
            request: of a step at a provider: what was asked.
        """
        sent = self.flow.decode_command(command)
        undone = self.never_ran or self.step.logged == UNDONE
        action = Action.TOMBSTONE if undone and not self.step.was_done else Action.DONE
        BarrierRow.objects.update_or_create(
            key=self.key,
            defaults={
                "saga": self.flow.saga,
                "step": self.step.step,
                "command": self.step.command,
                "command_hash": command_hash(sent) if sent else "",
                "action": action,
                # The fence's tombstone has no undo; nothing asks for the difference.
                "undo": Undo.DONE if undone else Undo.NONE,
                "request": request if action is Action.DONE else None,
                "reply": (self.step.reply or reply) if action is Action.DONE else None,
                "note": note,
                "updated_at": Now(),
            },
        )


def find_lost_rows(flow: KnownFlow, rows: Mapping[UUID, BarrierRow]) -> list[LostRow]:
    """The steps of a flow that are known to be done or undone, and of which the barrier knows less.

    Args:
        rows: the barrier rows of the flow, by key.
    """
    found = [LostRow(flow, step) for step in flow.steps if step.logged in (DONE, UNDONE)]
    return [lost for lost in found if knows_less(rows.get(lost.key), lost.step)]


def find_lost_fences(flow: KnownFlow, rows: Mapping[UUID, BarrierRow], pivot: type[Command]) -> list[LostRow]:
    """The pivot of a flow that is being stopped, if neither the log nor the barrier knows anything of it.

    The fence may have been lost, and with it the message that tells the log; the undos that follow it may be done. A
    late message would then run the pivot, so the fence is repeated here. Ask the books outside first whether it ran.

    Args:
        rows: the barrier rows of the flow, by key.
    """
    step = flow.find(pivot)
    if flow.status not in BEING_STOPPED or step is None or step.logged:
        return []
    fence = LostRow(flow, step, never_ran=True)
    return [] if fence.key in rows else [fence]


def knows_less(row: BarrierRow | None, step: KnownStep) -> bool:
    if row is None or row.action == Action.INTENT:
        return True
    return step.logged == UNDONE and row.action == Action.DONE and row.undo != Undo.DONE


def prove_row(flow: KnownFlow, command: type[Command]) -> LostRow | None:
    """The row of a step that the books outside prove to be done, if neither the log nor the barrier knows its end.

    An intent that was open when the backup was made is settled with it: its own call would meet what is written here.
    """
    step = flow.find(command)
    if step is None or step.logged:
        return None
    row = LostRow(flow, step)
    return row if knows_less(read_rows(flow).get(row.key), step) else None


def read_rows(flow: KnownFlow) -> dict[UUID, BarrierRow]:
    return {row.key: row for row in BarrierRow.objects.filter(saga=flow.saga)}


def describe_rows(lost: Iterable[LostRow]) -> str:
    """The rows in words."""
    states = (f"{row.step.step} {'never to run' if row.never_ran else row.step.logged}" for row in lost)
    return "barrier: " + ", ".join(states)


def write_tombstones(lost: Iterable[LostRow], commands: Iterable[type[Command]], note: str) -> None:
    """Write rows of steps that never ran, of these commands."""
    by_name = {command.wire_name(): command for command in commands}
    for row in lost:
        row.write(by_name[row.step.command], note)
