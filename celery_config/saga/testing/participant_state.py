"""Participant state: the ground truth of a simulation, which no log and no decision of the engine changes."""

from __future__ import annotations

from dataclasses import dataclass

from celery_config.messaging.barrier.decisions import Row


class Violation(Exception):
    """A guarantee was broken."""


@dataclass(slots=True, eq=False)
class ParticipantState:
    """One step at its participant: its barrier row, and its effects in the database or at the provider."""

    name: str
    position: int
    outside: bool
    lasting: bool  # its undo, or past the pivot the step itself, fails until it is repaired
    compensatable: bool
    is_pivot: bool
    refusable: bool
    needs: int = 0
    row: Row | None = None
    effects: int = 0
    ever_undone: bool = False
    never: bool = False
    set_back: bool = False  # its database lost the row; the effect at the provider is still there
    contents: str = ""
    provider: str = ""  # what it holds under the step's idempotency key: "", live, refused, cancelled

    @property
    def live(self) -> bool:
        return self.effects > 0

    def do(self, contents: str) -> None:
        """The effect happens."""
        self.effects += 1
        self.contents = contents
        if self.effects > 1:
            raise Violation(f"{self.name} was done twice")
        if self.never:
            raise Violation(f"{self.name} was done after its fence had said that it never would be")
        if self.ever_undone:
            raise Violation(f"{self.name} was done after it was undone")

    def undo(self) -> None:
        """The effect is compensated."""
        self.effects -= 1
        self.ever_undone = True
        if self.effects < 0:
            raise Violation(f"{self.name} was undone, though there was nothing to undo")

    def provider_does(self) -> None:
        """The provider gets a request with the step's key; it carries out a key once."""
        if not self.provider:
            self.provider = "live"
            self.do("as asked")

    def provider_refuses(self) -> None:
        if not self.provider:
            self.provider = "refused"

    def provider_cancels(self) -> None:
        if self.provider == "live":
            self.provider = "cancelled"
            self.undo()
