"""State machine: a saga's status and a trigger decide the next status and what is sent. Pure.

    running -> completed
    running -> stopping -> compensated
    stopping -> forward -> completed
    any of them -> parked, and back

It is the orchestrator's half of the protocol's model (docs/protocol.md), trigger by trigger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Generic, TypeVar

from celery_config.saga.dsl import Saga, StepKind
from celery_config.saga.states import OPEN, Status, StepState


@dataclass(frozen=True)
class View:
    """A flow as its decisions see it; a saga's log holds a `StepState` for each step."""

    status: Status
    log: Mapping[str, Any] = field(default_factory=dict)
    past_deadline: bool = False
    past_patience: bool = False  # it has been stopping or forward for as long as redrives may take


# The triggers.
@dataclass(frozen=True)
class StepFailed:
    """An errback or a dead letter: of an action (`do`), an undo, a fence, or one of the saga's own last links."""

    step: str
    operation: str

    def __str__(self) -> str:
        return f"step failed: {self.step} ({self.operation})" if self.step else f"failed: {self.operation}"


@dataclass(frozen=True)
class StepLost:
    """A participant's database knows nothing of a step that was done: it was set back."""

    step: str
    operation: str

    def __str__(self) -> str:
        return f"lost: {self.step} ({self.operation})"


@dataclass(frozen=True)
class StepLogged:
    """A participant's event changed the log."""

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
    """The chain reached its last link."""

    def __str__(self) -> str:
        return "end of the chain"


@dataclass(frozen=True)
class Compensated:
    """The stop chain reached its last link; `incomplete` if an undo failed on the way."""

    incomplete: bool = False

    def __str__(self) -> str:
        return "end of the stop chain, an undo is missing" if self.incomplete else "end of the stop chain"


@dataclass(frozen=True)
class CancelRequested:
    """A customer or an operator asks for the end."""

    def __str__(self) -> str:
        return "asked to stop"


@dataclass(frozen=True)
class Retry:
    """An operator retries a parked saga."""

    def __str__(self) -> str:
        return "asked to try again"


@dataclass(frozen=True)
class Resume:
    """An operator sends a parked saga forward; its pivot must be known to have run."""

    def __str__(self) -> str:
        return "asked to go on forward"


@dataclass(frozen=True)
class WatchdogFired:
    """The watchdog found the saga silent."""

    def __str__(self) -> str:
        return "silent until due"


@dataclass(frozen=True)
class DriveFailed:
    """What the saga needs could not be made; nothing decides about that, it is parked."""

    def __str__(self) -> str:
        return "cannot be driven"


Trigger = (
    StepFailed
    | StepLost
    | StepLogged
    | PivotRan
    | Completed
    | Compensated
    | CancelRequested
    | Retry
    | Resume
    | WatchdogFired
)


# What a decision sends.
@dataclass(frozen=True)
class Drive:
    """The actions from this step on, then `complete`. None: only `complete`."""

    step: str | None

    def __str__(self) -> str:
        return f"actions from {self.step} on" if self.step else "only the completion"


@dataclass(frozen=True)
class Stop:
    """The fence, every undo, last to first, then `compensated`; without its first `known` links."""

    known: int = 0

    def __str__(self) -> str:
        return f"stop chain from behind its first {self.known} links on" if self.known else "stop chain"


@dataclass(frozen=True)
class UndoBefore:
    """The undos that follow this step's in a stop chain, then `compensated(incomplete)`."""

    step: str

    def __str__(self) -> str:
        return f"undos of what came before {self.step}"


Send = Drive | Stop | UndoBefore


SendT = TypeVar("SendT")


@dataclass(frozen=True)
class Decision(Generic[SendT]):
    """`status` None: it stays. `soon`: the watchdog checks again before the silence timeout."""

    status: Status | None = None
    send: SendT | None = None
    soon: bool = False


IGNORE: Decision[Any] = Decision()
CLOSED = (StepState.REFUSED, StepState.UNDONE)


def first_status(saga: type[Saga]) -> Status:
    """The status at the start: a saga of retriable steps alone starts beyond its point of no return."""
    return Status.FORWARD if saga.only_forward() else Status.RUNNING


def decide(saga: type[Saga], view: View, trigger: Trigger) -> Decision[Send]:
    """Return what the saga does about `trigger`."""
    match trigger:
        case Completed():
            provable = view.status is Status.PARKED and saga.pivot_index() < len(saga.steps)
            done = view.status in (Status.RUNNING, Status.FORWARD) or provable
            return Decision(Status.COMPLETED) if done else IGNORE
        case Compensated(incomplete):
            done = view.status in (Status.STOPPING, Status.PARKED) and not incomplete
            return Decision(Status.COMPENSATED) if done else IGNORE
        case PivotRan():
            if view.status in (Status.RUNNING, Status.STOPPING):
                return Decision(Status.FORWARD, redrive(saga, view))
            return IGNORE
        case StepLogged(step, outcome):
            return on_step_logged(saga, view, step, outcome)
        case StepFailed(step, operation):
            return on_step_failed(saga, view, step, operation)
        case StepLost():
            return Decision(Status.PARKED) if view.status in OPEN else IGNORE
        case CancelRequested():
            return Decision(Status.STOPPING, Stop()) if view.status is Status.RUNNING else IGNORE
        case Retry() if saga.only_forward():
            return IGNORE  # it cannot be stopped, only resumed
        case Retry():
            return Decision(Status.STOPPING, Stop()) if view.status is Status.PARKED else IGNORE
        case Resume():
            proved = view.status is Status.PARKED and pivot_is_done(saga, view)
            return Decision(Status.FORWARD, redrive(saga, view)) if proved else IGNORE
        case WatchdogFired():
            return on_watchdog_fired(saga, view)


def pivot_is_done(saga: type[Saga], view: View) -> bool:
    if saga.only_forward():
        return True
    pivot = next((s.name for s in saga.steps if s.kind is StepKind.PIVOT), None)
    return pivot is not None and view.log.get(pivot) is StepState.DONE


def on_step_logged(saga: type[Saga], view: View, step: str, outcome: StepState) -> Decision[Send]:
    """An event that the pivot is done turns the saga forward (rule 13, the fence); a stopping one is redriven."""
    is_pivot = saga.steps[saga.index(step)].kind is StepKind.PIVOT
    if not (is_pivot and outcome is StepState.DONE and view.status in (Status.RUNNING, Status.STOPPING)):
        return IGNORE
    stopped = view.status is Status.STOPPING
    return Decision(Status.FORWARD, redrive(saga, view) if stopped else None)


def on_step_failed(saga: type[Saga], view: View, step: str, operation: str) -> Decision[Send]:
    if operation == "undo":
        # It parks nothing by itself: the other undos go on, the watchdog redrives all (rule 15, failed undos).
        return Decision(send=UndoBefore(step)) if view.status is Status.STOPPING else IGNORE
    if operation != "do":
        return Decision(soon=view.status in OPEN)  # the errback of a fence or of a last link proves nothing
    if saga.steps[saga.index(step)].kind is StepKind.RETRIABLE:
        # It only runs after the pivot. But anybody may send an errback, and what goes forward is never undone; so the
        # next drive or the fence finds out (rule 14, failures after the pivot).
        return Decision(soon=view.status in OPEN)
    return Decision(Status.STOPPING, Stop()) if view.status is Status.RUNNING else IGNORE


def on_watchdog_fired(saga: type[Saga], view: View) -> Decision[Send]:
    """What a silent saga needs (rule 17, the watchdog)."""
    match view.status:
        case Status.RUNNING if view.past_deadline:
            return Decision(Status.STOPPING, Stop())
        case Status.RUNNING:
            return Decision(send=redrive(saga, view))
        case Status.FORWARD | Status.STOPPING if view.past_patience:
            return Decision(Status.PARKED)
        case Status.FORWARD:
            return Decision(send=redrive(saga, view))
        case Status.STOPPING:
            return Decision(send=redrive_stop(saga, view))
    return IGNORE


def redrive(saga: type[Saga], view: View) -> Drive:
    """The actions from the first step that the log does not know as done.

    In a forward saga this step may lie before the pivot: its event was lost. The barrier answers the repeat
    (the pivot ran, so the step is done and never undone), which brings the reply that later steps need.
    """
    return Drive(next((s.name for s in saga.steps if view.log.get(s.name) is not StepState.DONE), None))


def redrive_stop(saga: type[Saga], view: View) -> Stop:
    """The stop chain from the first fence or undo that the log does not know as closed (rule 12, the stop).

    A participant reports only what it has committed: what is undone, refused or fenced stays so. A saga therefore
    advances by one link a redrive, even if no link ever sends the next. All links after the first gap are sent again,
    whatever the log says.
    """
    links = reversed(saga.steps[: saga.pivot_index() + 1])  # the fence is the pivot's
    return Stop(sum(1 for _ in takewhile(lambda s: view.log.get(s.name) in CLOSED, links)))
