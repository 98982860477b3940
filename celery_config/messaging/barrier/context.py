"""The context of a step: a handler with a second parameter learns which step of which saga it carries out. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import Any
from uuid import UUID

from celery_config.contracts.base import command_id


@dataclass(frozen=True)
class StepContext:
    """What a command itself does not say: which step of which saga a handler carries out. Its second parameter.

    Of a choreographed order, `saga` is the order's id, and `step` the name of the action's command.
    """

    saga: UUID
    step: str
    operation: str
    """`do` or `undo`."""
    id: UUID
    """The same for an action, its undo and every try of both; no other step has it. A key for what the step makes."""
    key: UUID
    """The idempotency key to give to a provider: the same for every try, and not the undo's."""
    number: int = 1
    """Which try of this drive it is."""

    @classmethod
    def make(cls, saga: UUID, step: str, operation: str = "do", number: int = 1) -> StepContext:
        """Return the context of a step, as handlers get it."""
        row, key = command_id(saga, step, "do"), command_id(saga, step, operation)
        return cls(saga, step, operation, row, key, number)


@cache
def takes_context(function: Callable[..., Any]) -> bool:
    """Whether a handler has a second parameter for contexts: one without a default, or of that name."""
    second = [*signature(function).parameters.values()][1:2]
    return any(
        each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        and (each.default is each.empty or each.name in ("context", "contexts"))
        for each in second
    )
