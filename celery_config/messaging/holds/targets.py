"""What a hold covers: the same answer at the orchestrator and at each worker. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

ACTION = "do"


@dataclass(frozen=True, kw_only=True)
class AskedStep:
    """What a message asks a participant for."""

    saga: UUID
    """The saga, or the choreographed order."""
    command: str
    """The wire name of the command; of a fence, that of the pivot."""
    operation: str
    """`do`, `undo` or `fence`."""
    step: str = ""
    """Its name, in a saga; a choreographed order has one step a command."""

    @property
    def key(self) -> str:
        """What it is within its saga or order."""
        return f"{self.operation} {self.step or self.command}"


@dataclass(frozen=True, kw_only=True)
class KnownHold:
    """What an operator holds, as every service knows it. It covers steps of a service, of commands, or of flows."""

    id: UUID
    label: str
    """What is held, for people."""
    since: datetime
    by: str
    why: str
    service: str = ""
    commands: frozenset[str] = frozenset()
    """Wire names."""
    flows: frozenset[UUID] = field(default=frozenset(), repr=False)
    undos: bool = False
    """Whether undos and fences are held, too."""
    let_go_to: UUID | None = None
    """Flows up to this id are let go: ids grow with time, so the oldest go first."""

    def covers(self, asked: AskedStep) -> bool:
        if self.has_let_go(asked.saga) or (asked.operation != ACTION and not self.undos):
            return False
        service, _, _ = asked.command.partition(".")
        return service == self.service or asked.command in self.commands or asked.saga in self.flows

    def has_let_go(self, saga: UUID) -> bool:
        return self.let_go_to is not None and saga <= self.let_go_to


def find_hold(holds: Sequence[KnownHold], asked: AskedStep | None) -> KnownHold | None:
    """Return the first hold that covers the step; None: it is free."""
    return next((hold for hold in holds if hold.covers(asked)), None) if asked else None


def encode_holds(holds: Sequence[KnownHold]) -> list[Any]:
    return [msgspec.to_builtins(hold) for hold in holds]


def decode_holds(content: Any) -> tuple[KnownHold, ...]:
    """
    Raises:
        msgspec.ValidationError: the content is no list of holds.
    """
    return msgspec.convert(content, tuple[KnownHold, ...], strict=False)
