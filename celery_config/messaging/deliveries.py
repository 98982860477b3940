"""Deliveries: a task gets all messages of its kind that have arrived, and each has an outcome of its own.

A single message is a batch of one. An outcome is what Celery would see of a single run:

- a value: the message is done, and the value goes to the next link of a chain;
- an exception: `Ignore` (done, nothing goes on), `Reject` (to the dead letters, or back to the broker), any other fires
  the errback;
- a `Call`: the answer of someone outside decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from celery.app.task import Context
from celery.exceptions import Ignore

from celery_config.common.correlation import REQUEST_ID, TRACEPARENT, Origin, check_request_id, name_request
from celery_config.errors import Refused

M = TypeVar("M")
Outcome = Any


class TriedLater(Ignore):
    """The outbox holds the message for its next try; this delivery has no other effect."""


class HeldBack(TriedLater):
    """An operator holds the step; the outbox holds the message until it is let go, which is no try."""


class ReportedLost(Ignore):
    """The database was set back behind the step; the orchestrator is told, and nothing goes on."""


@dataclass(frozen=True)
class Delivery(Generic[M]):
    """One message that a task works on."""

    request: Context
    message: M
    """Its keyword arguments, decoded."""
    replies: dict[str, Any] = field(default_factory=dict)
    """The replies of the chain's earlier links, by step."""
    began: float = field(default_factory=time.perf_counter)

    @property
    def origin(self) -> Origin:
        """What began the flow that it belongs to: by its headers, or by the attributes of the event that it carries."""
        event = self.request.kwargs or {}
        return Origin(
            check_request_id(self.request.get(REQUEST_ID) or event.get("requestid")),
            self.request.get(TRACEPARENT) or event.get("traceparent") or "",
        )

    @property
    def log_ids(self) -> dict[str, str]:
        """The ids of a log line about it."""
        kwargs = self.request.kwargs or {}
        ids = {name: str(kwargs[name]) for name in ("saga", "step", "operation") if kwargs.get(name)}
        return ids | name_request(self.origin.request_id)


@dataclass(frozen=True)
class Call:
    """A call outside that decides an outcome. It is made without a transaction; one transaction finishes many."""

    make: Callable[[], Any]
    finish: Callable[[Sequence[tuple[Any, Any]]], list[Outcome]]
    """Takes the answers of one kind as pairs of `about` and answer, stores them, and returns the outcomes. An outcome
    that needs another call is a `Call` again."""
    about: Any = None
    kind: Any = None
    """Calls of one kind are finished together."""

    def answer(self) -> Any:
        """Make the call; return its answer or its exception."""
        try:
            return self.make()
        except Exception as error:
            return error


@dataclass(frozen=True)
class FailedTry:
    """A try of a message that did not succeed."""

    error: Exception
    number: int
    """Among those of this message."""
    next_in: float | None = None
    """Seconds until the next one; None: it was the last."""
    is_counted: bool = True
    """Whether it uses up one of the message's tries; waiting for one that is away does not."""


def is_failure(answer: Any) -> bool:
    """Whether the effect of a call is unknown; a refusal is an answer."""
    return isinstance(answer, Exception) and not isinstance(answer, Refused)


def resolve_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of a single message, whose calls are made in this thread.

    Raises:
        Exception: that of a call whose effect is unknown.
    """
    (outcome,) = outcomes
    while isinstance(outcome, Call):
        answer = outcome.answer()
        if is_failure(answer):
            raise answer
        (outcome,) = outcome.finish([(outcome.about, answer)])
    return outcome
