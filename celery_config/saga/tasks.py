"""What comes back to the orchestrator: errbacks, the ends of chains, the fence's word, and the saga's events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from celery_config.messaging.deliveries import Delivery, Outcome
from celery_config.messaging.events import Received, subscribes
from celery_config.messaging.fences import PIVOT_FENCED, PIVOT_RAN
from celery_config.messaging.tasks import Handle, Work, durable_task, one_by_one
from celery_config.saga import runner, step_log
from celery_config.saga.chains import COMPENSATED, COMPLETE, STEP_FAILED
from celery_config.saga.dsl import Kind, Saga
from celery_config.saga.machine import Logged, PivotRan, StepFailed, StepLogged


@dataclass(frozen=True, kw_only=True)
class StepFailedMessage:
    saga: UUID
    step: str
    operation: str
    attempt: int


@dataclass(frozen=True, kw_only=True)
class EndMessage:
    saga: UUID
    step: str
    attempt: int
    incomplete: bool = False


@dataclass(frozen=True, kw_only=True)
class PivotRanMessage:
    saga: UUID
    step: str
    reply: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PivotFencedMessage:
    saga: UUID
    step: str


def step_failed(delivery: Delivery[StepFailedMessage]) -> None:
    """The `link_error` of every link."""
    failed = delivery.message
    reason = f"{failed.step or failed.operation} failed"
    cause = {"step": failed.step, "code": "step_failed", "reason": reason}
    runner.receive(failed.saga, StepFailed(failed.step, failed.operation), cause=cause)


def complete(deliveries: Sequence[Delivery[EndMessage]]) -> list[Outcome]:
    """The last links of chains of actions."""
    runner.complete({delivery.message.saga: delivery.replies for delivery in deliveries})
    return [None] * len(deliveries)


def compensated(delivery: Delivery[EndMessage]) -> None:
    """The last link of every stop chain."""
    runner.compensated(delivery.message.saga, delivery.replies, incomplete=delivery.message.incomplete)


def pivot_ran(delivery: Delivery[PivotRanMessage]) -> None:
    """A fence found that the pivot ran."""
    told = delivery.message
    step_log.merge([step_log.Entry(told.saga, told.step, Logged.DONE, told.reply)])
    runner.receive(told.saga, PivotRan())


def pivot_fenced(deliveries: Sequence[Delivery[PivotFencedMessage]]) -> list[Outcome]:
    """Fences found that pivots did not run; the undos are on their way already."""
    step_log.merge(
        step_log.Entry(each.message.saga, each.message.step, Logged.UNDONE, None) for each in deliveries
    )
    return [None] * len(deliveries)


def own_task(name: str, message: type[Any], handle: Handle, *, chained: bool = False) -> None:
    durable_task(name, Work(message=message, handle=handle, chained=chained, exhausted="dead letter"))


own_task(STEP_FAILED, StepFailedMessage, one_by_one(step_failed))
own_task(COMPLETE, EndMessage, complete, chained=True)
own_task(COMPENSATED, EndMessage, one_by_one(compensated), chained=True)
own_task(PIVOT_RAN, PivotRanMessage, one_by_one(pivot_ran))
own_task(PIVOT_FENCED, PivotFencedMessage, pivot_fenced)


@subscribes("*", once=False)  # merging is monotone: a repeat changes nothing
def write_saga_log(received: Sequence[Received]) -> None:
    """Merge participants' events into the saga log; the pivot's turns its saga forward (rules 13, 16)."""
    of_steps = [each for each in received if each.envelope.saga and each.envelope.step]
    entries = []
    for each in of_steps:
        event, saga = each.envelope, each.envelope.saga
        assert saga is not None
        if event.outcome == "failed":
            step_log.note_failure(saga, event.step, event.operation, each.data)
        else:
            entries.append(step_log.Entry(saga, event.step, Logged(event.outcome), each.data))
    pivots = pivot_names()
    runner.receive_all(
        {
            entry.saga: StepLogged(entry.step, entry.outcome)
            for entry in step_log.merge(entries)
            if entry.outcome is Logged.DONE and entry.step in pivots
        }
    )


def pivot_names() -> set[str]:
    return {s.name for saga in Saga.registry.values() for s in saga.steps if s.kind is Kind.PIVOT}
