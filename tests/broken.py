"""Broken engines: each has one wrong decision, which the simulator must find by a short schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from celery_config.messaging.barrier import decisions
from celery_config.messaging.barrier.decisions import OnAction, OnFence, OnResult, OnUndo, Row
from celery_config.messaging.states import Action, Undo
from celery_config.saga.dsl import Saga
from celery_config.saga.engine import machine, plan
from celery_config.saga.engine.machine import (
    IGNORE,
    CancelRequested,
    Compensated,
    Completed,
    Decision,
    Drive,
    PivotRan,
    Retry,
    Send,
    StepFailed,
    StepLogged,
    Stop,
    Trigger,
    View,
    WatchdogFired,
)
from celery_config.saga.engine.plan import Operation, PlannedLink
from celery_config.saga.states import Status, StepState
from celery_config.saga.testing.engine import REAL, Engine

Decide = Callable[[type[Saga], View, Trigger], Decision[Send]]


@dataclass(frozen=True)
class Only:
    """A stop chain without these links."""

    without: frozenset[PlannedLink]


def instead(kind: type[Trigger], status: Status | None, decision: Decision[Send]) -> Engine:
    """Decide `decision` about this kind of trigger in this status (None: in any)."""

    def decide(saga: type[Saga], view: View, trigger: Trigger) -> Decision[Send]:
        if isinstance(trigger, kind) and status in (None, view.status):
            return decision
        return machine.decide(saga, view, trigger)

    return replace(REAL, decide=decide)


def stop_without(left_out: Callable[[PlannedLink, View, type[Saga]], bool]) -> Engine:
    """Leave links out of stop chains, by what the log says."""

    def decide(saga: type[Saga], view: View, trigger: Trigger) -> Decision[Send]:
        decision = machine.decide(saga, view, trigger)
        if not isinstance(decision.send, Stop):
            return decision
        links = plan.plan_links(saga, decision.send)
        only = Only(frozenset(link for link in links if left_out(link, view, saga)))
        return replace(decision, send=only)  # type: ignore[arg-type]

    def planned(saga: type[Saga], send: Send | Only) -> tuple[PlannedLink, ...]:
        if not isinstance(send, Only):
            return plan.plan_links(saga, send)
        return tuple(link for link in plan.plan_links(saga, Stop()) if link not in send.without)

    return replace(REAL, decide=decide, planned=planned)


def no_word_of_the_pivot(saga: type[Saga], view: View, trigger: Trigger) -> Decision[Send]:
    if view.status is Status.STOPPING and isinstance(trigger, (PivotRan, StepLogged)):
        return IGNORE
    return machine.decide(saga, view, trigger)


def stops_after_the_pivot(saga: type[Saga], view: View, trigger: Trigger) -> Decision[Send]:
    if view.status is Status.FORWARD and isinstance(trigger, StepFailed) and trigger.operation == "do":
        return Decision(Status.STOPPING, Stop())
    return machine.decide(saga, view, trigger)


def failed(operation: str, decision: Decision[Send]) -> Engine:
    """Decide `decision` about an errback of this operation in a stopping saga."""

    def decide(saga: type[Saga], view: View, trigger: Trigger) -> Decision[Send]:
        if (
            isinstance(trigger, StepFailed)
            and trigger.operation == operation
            and view.status is Status.STOPPING
        ):
            return decision
        return machine.decide(saga, view, trigger)

    return replace(REAL, decide=decide)


def drives_after_what_is_unknown(saga: type[Saga], view: View, trigger: Trigger) -> Decision[Send]:
    """Redrive from behind the last step that the log knows as done, even if there are gaps."""
    decision = machine.decide(saga, view, trigger)
    if not isinstance(decision.send, Drive):
        return decision
    known = [n for n, s in enumerate(saga.steps) if view.log.get(s.name) is StepState.DONE]
    rest = saga.steps[max(known, default=-1) + 1 :]
    return replace(decision, send=Drive(rest[0].name if rest else None))


def on_action(replaced: dict[OnAction, OnAction]) -> Engine:
    """Replace answers of the barrier by others."""

    def answer(row: Row | None, command_hash: str) -> OnAction:
        decision = decisions.on_action(row, command_hash)
        return replaced.get(decision, decision)

    return replace(REAL, on_action=answer)


def ignores_the_hash(row: Row | None, command_hash: str) -> OnAction:
    return decisions.on_action(row and replace(row, command_hash=command_hash), command_hash)


def on_undo(replaced: dict[OnUndo, OnUndo]) -> Engine:
    return replace(REAL, on_undo=lambda row: (d := decisions.on_undo(row), replaced.get(d, d))[1])


def on_fence(replaced: dict[OnFence, OnFence]) -> Engine:
    return replace(REAL, on_fence=lambda row: (d := decisions.on_fence(row), replaced.get(d, d))[1])


def undone_replies(row: Row | None, command_hash: str) -> OnAction:
    if row and row.undo is Undo.DONE and row.action is Action.DONE:
        return OnAction.REPLY_AGAIN
    return decisions.on_action(row, command_hash)


def writes_always(row: Row, *, done: bool) -> OnResult:
    return OnResult.WRITE


def knows_no_pivot(link: PlannedLink, view: View, saga: type[Saga]) -> bool:
    """Whether the log says that the pivot was not reached, so that the fence is left out."""
    before = saga.steps[max(0, saga.pivot_index() - 1)].name
    return link.operation is Operation.FENCE and view.log.get(before) is not StepState.DONE


def knows_nothing_done(link: PlannedLink, view: View, saga: type[Saga]) -> bool:
    return link.operation is Operation.UNDO and view.log.get(link.step) is not StepState.DONE


BROKEN: dict[str, Engine] = {
    "no fence in a stop": stop_without(lambda link, *_: link.operation is Operation.FENCE),
    "no fence in a stop when the log is behind": stop_without(knows_no_pivot),
    "no undo of what the log does not know done": stop_without(knows_nothing_done),
    "an undo leaves no tombstone": replace(REAL, undo_claims=None),
    "a fence leaves no tombstone": replace(REAL, fence_claims=None),
    "a failed undo parks": failed("undo", Decision(Status.PARKED)),
    "a failed undo ends": failed("undo", Decision(Status.COMPENSATED)),
    "a failed undo stops the other undos": failed("undo", IGNORE),
    "a failed fence ends": failed("fence", Decision(Status.COMPENSATED)),
    "the chain's end completes a stopping saga": instead(
        Completed, Status.STOPPING, Decision(Status.COMPLETED)
    ),
    "an incomplete stop ends": instead(Compensated, Status.STOPPING, Decision(Status.COMPENSATED)),
    "a silent saga is completed": instead(WatchdogFired, Status.RUNNING, Decision(Status.COMPLETED)),
    "a human's retry is ignored": instead(Retry, Status.PARKED, IGNORE),
    "a forward saga stops": replace(REAL, decide=stops_after_the_pivot),
    "a cancel stops a forward saga": instead(
        CancelRequested, Status.FORWARD, Decision(Status.STOPPING, Stop())
    ),
    "word of the pivot does not turn a stop": replace(REAL, decide=no_word_of_the_pivot),
    "nobody drives a stopping saga": instead(WatchdogFired, Status.STOPPING, Decision(soon=True)),
    "nobody drives a running saga": instead(WatchdogFired, Status.RUNNING, Decision(soon=True)),
    "a silent stop is parked at once": instead(WatchdogFired, Status.STOPPING, Decision(Status.PARKED)),
    "a drive skips what the log does not know": replace(REAL, decide=drives_after_what_is_unknown),
    "the log's last writer wins": replace(REAL, rises=lambda known, outcome: known is not outcome),
    "the barrier lets a repeat run": on_action({OnAction.REPLY_AGAIN: OnAction.RUN}),
    "the barrier ignores the hash": replace(REAL, on_action=ignores_the_hash),
    "an undone action replies": replace(REAL, on_action=undone_replies),
    "an outlived action runs": on_action({OnAction.OUTLIVED: OnAction.RUN}),
    "a stored refusal replies": on_action({OnAction.REFUSE_AGAIN: OnAction.REPLY_AGAIN}),
    "a refused action runs": on_action({OnAction.REFUSE_AGAIN: OnAction.RUN}),
    "a result is written over a closed intent": replace(REAL, on_result=writes_always),
    "a result is not written": replace(REAL, on_result=lambda row, *, done: OnResult.KNOWN),
    "an undo takes doubt for nothing": on_undo({OnUndo.SETTLE_FIRST: OnUndo.NOTHING_TO_UNDO}),
    "a missing row is taken for never": replace(REAL, is_lost=lambda row, *, known_done: False),
    "an undo is repeated": on_undo({OnUndo.REPEAT: OnUndo.UNDO}),
    "an undo undoes what was refused": on_undo({OnUndo.NOTHING_TO_UNDO: OnUndo.UNDO}),
    "a fence takes doubt for never": on_fence({OnFence.SETTLE_FIRST: OnFence.NEVER}),
    "a fence says never of a pivot that ran": on_fence({OnFence.RAN: OnFence.NEVER}),
    "a hold counts for the deadline": replace(REAL, gives_back=lambda held: 0.0),
    "a hold is given back twice": replace(REAL, gives_back=lambda held: 2 * held),
    "a fence says ran of a pivot that never did": on_fence({OnFence.NEVER: OnFence.RAN}),
}
