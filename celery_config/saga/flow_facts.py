"""What the order service knows of a flow: plain facts, from which its explanation and its strip are made. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from celery_config.saga.causes import GAVE_UP, describe_failure, name_caller
from celery_config.saga.dsl import StepKind
from celery_config.saga.states import ENDED, Status, StepState


def is_refusal(told: Mapping[str, Any] | None) -> bool:
    """Whether what is kept like a refusal is one, and not used-up tries."""
    code = (told or {}).get("code")
    return bool(code) and code not in GAVE_UP


@dataclass(frozen=True)
class StepFacts:
    """What the order service knows of one step."""

    name: str
    service: str
    kind: StepKind
    phrase: str
    """What its command asks for: "void the payment"."""
    undo_phrase: str = ""
    logged: StepState = StepState.NOTHING
    ran: bool = False
    """Whether its action is known to have been done, perhaps before it was undone."""
    refusal: Mapping[str, Any] | None = None
    failure: Mapping[str, Any] | None = None
    """Why its participant gave up last: `operation`, `code`, `reason`."""
    at: datetime | None = None
    """When its log changed last."""
    amount: str = ""
    """The money that it moves, with its currency: "£5.10"."""
    expires_at: datetime | None = None
    """When a holder lets go of it by itself."""

    @property
    def is_refused(self) -> bool:
        """Whether its participant said no."""
        return self.logged is StepState.REFUSED or (not self.ran and is_refusal(self.refusal))


@dataclass(frozen=True)
class Try:
    """A try of a step that did not succeed."""

    step: str
    operation: str
    number: int
    """How often it was tried, over all drives. Of many, not each is known."""
    code: str
    reason: str
    at: datetime
    next_at: datetime | None = None
    """When it is tried again; None: its participant gave it up, until it is sent again."""

    def is_ahead(self, now: datetime) -> bool:
        """Whether the next try is still to come."""
        return self.next_at is not None and self.next_at > now

    @property
    def failure(self) -> Mapping[str, Any]:
        """The same in the form of a step's `failure`."""
        return {"operation": self.operation, "code": self.code, "reason": self.reason}


@dataclass(frozen=True)
class FlowFacts:
    """What the order service knows of a flow; times are those of the clock on the wall."""

    noun: str
    """What it is: order, refund, erasure."""
    status: Status
    steps: Sequence[StepFacts]
    now: datetime
    """Its time zone is the one in which times are told."""
    cause: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""
    """Why it cannot be driven: this code does not know its version, or cannot read its data."""
    choreographed: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    deadline_at: datetime | None = None
    due_at: datetime | None = None
    """When the watchdog looks at it next; None: it does not."""
    drives: int = 0
    """How often it was sent again in this status."""
    sent: int = 0
    """How often it was sent again in all."""
    line: str = ""
    """What parked it, as it was written down then."""
    owner: str = ""
    answer_by: datetime | None = None
    stands_for: str = ""
    """Why saga time stands; empty: it runs."""
    tries: Sequence[Try] = ()
    """Those that did not succeed, in their order."""
    held_since: datetime | None = None
    """Since when what it waits for is held by an operator; None: it is not."""
    held: str = ""
    """What is held, by whom and why."""


def is_past_pivot(steps: Sequence[StepFacts]) -> bool:
    """Whether a flow with these steps can only go forward."""
    pivot = find_pivot(steps)
    return pivot.logged is StepState.DONE if pivot else all(s.kind is StepKind.RETRIABLE for s in steps)


def find_pivot(steps: Sequence[StepFacts]) -> StepFacts | None:
    return next((step for step in steps if step.kind is StepKind.PIVOT), None)


def is_going_back(flow: FlowFacts) -> bool:
    """Whether somebody or something stopped the flow, and it is not known to be past its point of no return."""
    stops = {name for name in flow.cause if name != "parked"}
    stopped = flow.status is Status.STOPPING or (flow.status is Status.PARKED and bool(stops))
    return stopped and not is_past_pivot(flow.steps)


def list_begun(flow: FlowFacts) -> Sequence[StepFacts]:
    """Return the steps that ran or may have run: up to the last of which something is known, or which was asked for.

    A step is asked for when the one before it is done. If it is undone while its call is open, its participant first
    finds out whether it ran, and tells the log only that nothing is left of it.
    """
    begun = 0
    for number, step in enumerate(flow.steps):
        if step.ran or step.logged is StepState.DONE:
            begun = number + 1
        elif (
            step.is_refused
            or (step.failure or {}).get("operation") == "do"
            or flow.cause.get("step") == step.name
        ):
            begun = number
    return flow.steps[: begun + 1]


def find_failed(flow: FlowFacts) -> StepFacts | None:
    """Return the first step that its participant gave up, and that was not undone since."""
    return next((s for s in flow.steps if s.failure and s.logged is not StepState.UNDONE), None)


def find_try(flow: FlowFacts, step: StepFacts, *, undo: bool) -> Try | None:
    """Return the last try of a step that is to be tried again by itself; None where the last was given up."""
    tried = [t for t in flow.tries if t.step == step.name and (t.operation != "do") is undo]
    return tried[-1] if tried and tried[-1].next_at else None


def describe_step_failure(step: StepFacts, failed: Mapping[str, Any] | None = None) -> str:
    """Return why a step, or its undo, was given up last; see `describe_failure`.

    Args:
        failed: another failure of it than the last.
    """
    failure = failed or step.failure or {}
    phrase = (failure.get("operation") == "undo" and step.undo_phrase) or step.phrase
    return describe_failure(failure, step.service, phrase)


def find_next(flow: FlowFacts) -> tuple[StepFacts | None, bool]:
    """Return the step whose word the flow waits for, and whether it is to be undone; None: its own end is missing."""
    if flow.status in ENDED:
        return None, False
    if not is_going_back(flow):
        return next((s for s in flow.steps if s.logged is not StepState.DONE), None), False
    closed = (StepState.REFUSED, StepState.UNDONE)
    undone = [s for s in flow.steps if s.kind is StepKind.COMPENSATABLE]
    # All services undo at once when payment, the first, has let go. A saga begins with its pivot and goes backwards.
    links = undone if flow.choreographed else [*filter(None, [find_pivot(flow.steps)]), *reversed(undone)]
    return next((s for s in links if s.logged not in closed), None), True


AGAIN_AND_AGAIN = 2
"""From so many failed tries on, a step is not only late: it fails."""


@dataclass(frozen=True)
class Failing:
    """What an open flow waits for fails, and is tried again."""

    line: str
    """In words that are the same for all with the same fault."""
    tries: int
    next_at: datetime | None
    """None: it is tried now."""
    side: str
    """Who fails: what the service calls outside, or the service itself."""


def find_failing(flow: FlowFacts) -> Failing | None:
    """Return why the step that an open flow waits for fails again and again; None: it does not."""
    step, undo = find_next(flow)
    if step is None:
        return None
    if tried := find_try(flow, step, undo=undo):
        failing = Failing(
            describe_step_failure(step, tried.failure),
            tried.number,
            tried.next_at if tried.is_ahead(flow.now) else None,
            name_side(step, tried.failure),
        )
    elif step.failure and fits(step.failure, undo=undo):
        failing = Failing(
            describe_step_failure(step),
            step.failure.get("times", 1),
            flow.due_at,
            name_side(step, step.failure),
        )
    else:
        return None
    return failing if failing.tries >= AGAIN_AND_AGAIN else None


def name_side(step: StepFacts, failure: Mapping[str, Any]) -> str:
    """Return who fails: what a step's service calls outside, or the service itself."""
    outside = name_caller(step.service)
    return outside if outside in describe_step_failure(step, failure) else step.service


def is_failing(flow: FlowFacts) -> bool:
    return find_failing(flow) is not None


def fits(failure: Mapping[str, Any] | None, *, undo: bool) -> bool:
    """Whether a failure is that of the undo, or of the action."""
    return failure is not None and (failure.get("operation") == "undo") is undo


class HappeningKind(StrEnum):
    BEGAN = "began"
    DONE = "done"
    REFUSED = "refused"
    UNDONE = "undone"
    TRIED = "tried"
    FAILED = "failed"
    SENT = "sent again"
    DECIDED = "decided"
    ACTED = "operator"
    ENDED = "ended"


@dataclass(frozen=True)
class Happening:
    """Something that happened to a flow."""

    at: datetime
    lane: str
    """The service, or the operators."""
    kind: HappeningKind
    text: str
