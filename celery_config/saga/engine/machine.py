"""The decisions of a saga: given where it stands and what came in, where it goes and what is sent. Pure.

    running -> completed
    running -> stopping -> compensated
    stopping -> forward -> completed
    any of them -> parked, and back

It is the orchestrator's half of the protocol's model, input by input; the numbers name the protocol's rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Generic, TypeVar

from celery_config.saga.dsl import Kind, Saga
from celery_config.saga.states import OPEN, Status, StepState


@dataclass(frozen=True)
class View:
    """Where a flow stands, and what is known of its steps; of a saga's: `StepState`, by name."""

    status: Status
    log: Mapping[str, Any] = field(default_factory=dict)
    past_deadline: bool = False
    past_patience: bool = False  # stopping or forward has been driven for as long as it may be


# What may come in.
@dataclass(frozen=True)
class StepFailed:
    """An errback or a dead letter: of an action (`do`), an undo, a fence, or one of the saga's own last links."""

    step: str
    operation: str

    def __str__(self) -> str:
        return f"step failed: {self.step} ({self.operation})" if self.step else f"failed: {self.operation}"


@dataclass(frozen=True)
class StepLogged:
    """An event of a participant."""

    step: str
    outcome: StepState

    def __str__(self) -> str:
        return f"event: {self.step} {self.outcome}"


@dataclass(frozen=True)
class PivotRan:
    """The fence's proof."""

    def __str__(self) -> str:
        return "the pivot ran"


@dataclass(frozen=True)
class Completed:
    """The chain came to its end."""

    def __str__(self) -> str:
        return "end of the chain"


@dataclass(frozen=True)
class Compensated:
    """The stop chain came to its end; `incomplete` when an undo failed on the way."""

    incomplete: bool = False

    def __str__(self) -> str:
        return "end of the stop chain, an undo is missing" if self.incomplete else "end of the stop chain"


@dataclass(frozen=True)
class CancelRequested:
    """Somebody cancelled."""

    def __str__(self) -> str:
        return "asked to stop"


@dataclass(frozen=True)
class Retry:
    """A human says of a parked saga: again."""

    def __str__(self) -> str:
        return "asked to try again"


@dataclass(frozen=True)
class Resume:
    """A human says of a parked saga whose pivot is known to have run: go on forward."""

    def __str__(self) -> str:
        return "asked to go on forward"


@dataclass(frozen=True)
class WatchdogFired:
    """The watchdog found the saga silent."""

    def __str__(self) -> str:
        return "silent until due"


Trigger = (
    StepFailed
    | StepLogged
    | PivotRan
    | Completed
    | Compensated
    | CancelRequested
    | Retry
    | Resume
    | WatchdogFired
)


# What may be sent.
@dataclass(frozen=True)
class Drive:
    """The actions from this step on, then `complete`; None: only `complete`."""

    step: str | None

    def __str__(self) -> str:
        return f"actions from {self.step} on" if self.step else "only the completion"


@dataclass(frozen=True)
class Stop:
    """The fence, then every undo, last to first, then `compensated`; from behind its first `known` links on."""

    known: int = 0

    def __str__(self) -> str:
        return f"stop chain from behind its first {self.known} links on" if self.known else "stop chain"


@dataclass(frozen=True)
class UndoBefore:
    """The undos before this step's, then `compensated(incomplete)`."""

    step: str

    def __str__(self) -> str:
        return f"undos of what came before {self.step}"


Send = Drive | Stop | UndoBefore


SendT = TypeVar("SendT")


@dataclass(frozen=True)
class Decision(Generic[SendT]):
    """`status` None: it stays. `soon`: the watchdog shall look again before the silence is over."""

    status: Status | None = None
    send: SendT | None = None
    soon: bool = False


IGNORE: Decision[Any] = Decision()
THROUGH = (StepState.REFUSED, StepState.UNDONE)


def first_status(saga: type[Saga]) -> Status:
    """Where a saga begins: one without a way back is beyond its point of no return from its start."""
    return Status.FORWARD if saga.only_forward() else Status.RUNNING


def decide(saga: type[Saga], view: View, came: Trigger) -> Decision[Send]:
    """Return what the saga does about `came`."""
    match came:
        case Completed():
            provable = view.status is Status.PARKED and saga.pivot_index() < len(saga.steps)
            done = view.status in (Status.RUNNING, Status.FORWARD) or provable
            return Decision(Status.COMPLETED) if done else IGNORE
        case Compensated(incomplete):
            done = view.status in (Status.STOPPING, Status.PARKED) and not incomplete
            return Decision(Status.COMPENSATED) if done else IGNORE
        case PivotRan():
            if view.status in (Status.RUNNING, Status.STOPPING):
                return Decision(Status.FORWARD, drive(saga, view))
            return IGNORE
        case StepLogged(step, outcome):
            return logged(saga, view, step, outcome)
        case StepFailed(step, operation):
            return failed(saga, view, step, operation)
        case CancelRequested():
            return Decision(Status.STOPPING, Stop()) if view.status is Status.RUNNING else IGNORE
        case Retry() if saga.only_forward():
            return IGNORE  # there is nothing to stop: it is resumed
        case Retry():
            return Decision(Status.STOPPING, Stop()) if view.status is Status.PARKED else IGNORE
        case Resume():
            proved = view.status is Status.PARKED and pivot_is_done(saga, view)
            return Decision(Status.FORWARD, drive(saga, view)) if proved else IGNORE
        case WatchdogFired():
            return due(saga, view)


def pivot_is_done(saga: type[Saga], view: View) -> bool:
    if saga.only_forward():
        return True
    pivot = next((s.name for s in saga.steps if s.kind is Kind.PIVOT), None)
    return pivot is not None and view.log.get(pivot) is StepState.DONE


def logged(saga: type[Saga], view: View, step: str, outcome: StepState) -> Decision[Send]:
    """Word that the pivot is done turns the saga forward (rule 13); a stopping one must then be driven."""
    is_pivot = saga.steps[saga.index(step)].kind is Kind.PIVOT
    if not (is_pivot and outcome is StepState.DONE and view.status in (Status.RUNNING, Status.STOPPING)):
        return IGNORE
    stopped = view.status is Status.STOPPING
    return Decision(Status.FORWARD, drive(saga, view) if stopped else None)


def failed(saga: type[Saga], view: View, step: str, operation: str) -> Decision[Send]:
    if operation == "undo":
        # It parks nothing by itself: the other undos go on, the watchdog drives all again (rule 15).
        return Decision(send=UndoBefore(step)) if view.status is Status.STOPPING else IGNORE
    if operation != "do":
        return Decision(soon=view.status in OPEN)  # a fence's or a last link's errback proves nothing
    if saga.steps[saga.index(step)].kind is Kind.RETRIABLE:
        # Its being run at all proves that the pivot ran (rule 14).
        turns = view.status in (Status.RUNNING, Status.STOPPING)
        return Decision(Status.FORWARD if turns else None, soon=view.status in OPEN)
    return Decision(Status.STOPPING, Stop()) if view.status is Status.RUNNING else IGNORE


def due(saga: type[Saga], view: View) -> Decision[Send]:
    """The watchdog's decision (rule 17)."""
    match view.status:
        case Status.RUNNING if view.past_deadline:
            return Decision(Status.STOPPING, Stop())
        case Status.RUNNING:
            return Decision(send=drive(saga, view))
        case Status.FORWARD if view.past_patience:
            return Decision(Status.PARKED)
        case Status.FORWARD:
            return Decision(send=drive(saga, view))
        case Status.STOPPING if view.past_patience:
            return Decision(Status.PARKED)
        case Status.STOPPING:
            return Decision(send=stop(saga, view))
    return IGNORE


def drive(saga: type[Saga], view: View) -> Drive:
    """From the first step that the log does not know done.

    Going forward, that may lie before the pivot: an event was missed. Its repeat is answered from the barrier
    (the pivot ran, so it is done and never undone) and brings the reply that later steps need.
    """
    return Drive(next((s.name for s in saga.steps if view.log.get(s.name) is not StepState.DONE), None))


def stop(saga: type[Saga], view: View) -> Stop:
    """From the first fence or undo that is not known to be through.

    A participant that says so has committed it: nothing brings back what is undone, refused or fenced. So a saga gets
    on by one link a drive even where no link ever sends the next. What lies behind the first gap is sent again,
    whatever the log says of it.
    """
    links = reversed(saga.steps[: saga.pivot_index() + 1])  # the fence is the pivot's
    return Stop(sum(1 for _ in takewhile(lambda s: view.log.get(s.name) in THROUGH, links)))
