"""What comes back to the orchestrator: errbacks, the ends of chains, the fence's word, and the saga's events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import transaction

from celery_config.common.grouping import split_unique
from celery_config.erasure import tombstones
from celery_config.errors import Refused, StepSuperseded
from celery_config.messaging.barrier.fences import PIVOT_FENCED, PIVOT_RAN
from celery_config.messaging.deliveries import Delivery, Outcome
from celery_config.messaging.inbox.subscriptions import Received
from celery_config.messaging.tasks import Handle, Work, durable_task
from celery_config.saga.dsl import Kind, Saga
from celery_config.saga.engine import runner, step_log
from celery_config.saga.engine.chains import CALL, COMPENSATED, COMPLETE, STEP_FAILED
from celery_config.saga.engine.machine import PivotRan, StepFailed, StepLogged
from celery_config.saga.engine.rest_steps import CallMessage, call_participants, note_giving_up
from celery_config.saga.engine.runner import Unwound
from celery_config.saga.states import StepState


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


def step_failed(deliveries: Sequence[Delivery[StepFailedMessage]]) -> list[Outcome]:
    """The `link_error` of every link."""
    for part in split_unique([delivery.message for delivery in deliveries], lambda failed: failed.saga):
        causes = {
            failed.saga: {
                "step": failed.step,
                "code": "step_failed",
                "reason": f"{failed.step or failed.operation} failed",
            }
            for failed in part
        }
        runner.receive_all({each.saga: StepFailed(each.step, each.operation) for each in part}, causes)
    return [None] * len(deliveries)


def complete(deliveries: Sequence[Delivery[EndMessage]]) -> list[Outcome]:
    """The last links of chains of actions."""
    runner.complete({delivery.message.saga: delivery.replies for delivery in deliveries})
    return [None] * len(deliveries)


def compensated(deliveries: Sequence[Delivery[EndMessage]]) -> list[Outcome]:
    """The last link of every stop chain."""
    for part in split_unique(deliveries, lambda delivery: delivery.message.saga):
        runner.compensated(
            {each.message.saga: Unwound(each.replies, each.message.incomplete) for each in part}
        )
    return [None] * len(deliveries)


def pivot_ran(deliveries: Sequence[Delivery[PivotRanMessage]]) -> list[Outcome]:
    """Fences found that pivots ran."""
    told = [delivery.message for delivery in deliveries]
    with transaction.atomic():
        step_log.merge(step_log.Entry(each.saga, each.step, StepState.DONE, each.reply) for each in told)
        runner.receive_all({each.saga: PivotRan() for each in told})
    return [None] * len(deliveries)


def pivot_fenced(deliveries: Sequence[Delivery[PivotFencedMessage]]) -> list[Outcome]:
    """Fences found that pivots did not run; the undos are on their way already."""
    step_log.merge(
        step_log.Entry(each.message.saga, each.message.step, StepState.UNDONE, None) for each in deliveries
    )
    return [None] * len(deliveries)


def own_task(name: str, message: type[Any], handle: Handle, *, chained: bool = False) -> None:
    durable_task(name, Work(message=message, handle=handle, chained=chained, exhausted="dead letter"))


own_task(STEP_FAILED, StepFailedMessage, step_failed)
own_task(COMPLETE, EndMessage, complete, chained=True)
own_task(COMPENSATED, EndMessage, compensated, chained=True)
own_task(PIVOT_RAN, PivotRanMessage, pivot_ran)
own_task(PIVOT_FENCED, PivotFencedMessage, pivot_fenced)
durable_task(
    CALL,
    Work(
        message=CallMessage,
        handle=call_participants,
        chained=True,
        exhausted="errback",
        on_exhausted=note_giving_up,
    ),
    throws=(Refused, StepSuperseded),
)


def write_saga_log(received: Sequence[Received]) -> None:
    """Merge participants' events into the saga log; the pivot's turns its saga forward (rules 13, 16)."""
    told = [(each, each.envelope) for each in received]
    of_steps = [each for each, event in told if event.saga and event.step and not event.flow]
    entries = []
    for each in of_steps:
        event, saga = each.envelope, each.envelope.saga
        assert saga is not None
        if event.outcome == "failed":
            step_log.note_failure(saga, event.step, event.operation, each.data)
        else:
            entries.append(step_log.Entry(saga, event.step, StepState(event.outcome), each.data))
    pivots = pivot_names()
    runner.receive_all(
        {
            entry.saga: StepLogged(entry.step, entry.outcome)
            for entry in step_log.merge(without_words(entries))
            if entry.outcome is StepState.DONE and entry.step in pivots
        }
    )


def without_words(entries: Sequence[step_log.Entry]) -> list[step_log.Entry]:
    """Refusals that come late, of people who were forgotten, without their free text."""
    refused = {entry.saga for entry in entries if entry.outcome is StepState.REFUSED}
    gone = tombstones.erased_among(refused)
    return [
        replace(entry, content={**(entry.content or {}), "reason": ""})
        if entry.outcome is StepState.REFUSED and entry.saga in gone
        else entry
        for entry in entries
    ]


def pivot_names() -> set[str]:
    return {s.name for saga in Saga.registry.values() for s in saga.steps if s.kind is Kind.PIVOT}
