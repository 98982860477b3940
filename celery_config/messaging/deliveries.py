"""What a task works on: all messages of its kind that have arrived, each with an outcome of its own.

A lone message is a batch of one. An outcome is what Celery would see of a single run:

- a value: the message is done; what a chain's link returns goes on to the next link;
- an exception: `Ignore` (done, nothing goes on), `Reject` (to the dead letters, or back to the broker), any other fires
  the errback;
- a `Call`: not known before somebody outside has answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from celery.app.task import Context
from celery.exceptions import Ignore

from celery_config.errors import Refused

M = TypeVar("M")
Outcome = Any


class TriedLater(Ignore):
    """The outbox holds the message until then; nothing else follows from this delivery."""


@dataclass(frozen=True)
class Delivery(Generic[M]):
    """One message in hand."""

    request: Context
    message: M
    """Its keyword arguments, decoded."""
    replies: dict[str, Any] = field(default_factory=dict)
    """What the chain brings along: the replies of the links before, by step."""
    began: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True)
class Call:
    """A call outside that decides an outcome: made without a transaction, settled together with others in one."""

    make: Callable[[], Any]
    settle: Callable[[Sequence[tuple[Any, Any]]], list[Outcome]]
    """Takes all that was answered of one kind, as pairs of `about` and answer, and returns the outcomes; again a `Call`
    where another is needed."""
    about: Any = None
    kind: Any = None
    """What is settled together is of one kind."""

    def answer(self) -> Any:
        """Make the call; return what came of it, an exception included."""
        try:
            return self.make()
        except Exception as error:
            return error


def is_failure(answer: Any) -> bool:
    """Whether nobody knows what became of a call; a refusal is an answer."""
    return isinstance(answer, Exception) and not isinstance(answer, Refused)


def resolve_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of a lone message, its calls made here.

    Raises:
        Exception: a call's, when nobody knows what became of it.
    """
    (outcome,) = outcomes
    while isinstance(outcome, Call):
        answer = outcome.answer()
        if is_failure(answer):
            raise answer
        (outcome,) = outcome.settle([(outcome.about, answer)])
    return outcome
