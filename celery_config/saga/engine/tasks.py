"""The orchestrator's tasks: errbacks, ends of chains, reports of fences, and participants' events reach the sagas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import transaction

from celery_config.common.grouping import split_unique
from celery_config.contracts.base import LOST
from celery_config.erasure import tombstones
from celery_config.errors import Refused, StepSuperseded
from celery_config.messaging.barrier.fences import PIVOT_FENCED, PIVOT_RAN
from celery_config.messaging.barrier.steps import STEP_LOST
from celery_config.messaging.deliveries import Delivery, Outcome
from celery_config.messaging.inbox.subscriptions import Received
from celery_config.messaging.tasks import Handle, Work, durable_task
from celery_config.saga.dsl import Saga, StepKind
from celery_config.saga.engine import refusals, runner, step_log
from celery_config.saga.engine.chains import CALL, COMPENSATED, COMPLETE, STEP_FAILED
from celery_config.saga.engine.machine import PivotRan, StepFailed, StepLogged, StepLost
from celery_config.saga.engine.rest_steps import CallMessage, call_participants, record_exhaustion
from celery_config.saga.engine.runner import StopChainEnd
from celery_config.saga.states import StepState


@dataclass(frozen=True, kw_only=True)
class StepFailedMessage:
    saga: UUID
    step: str
    operation: str
    attempt: int


@dataclass(frozen=True, kw_only=True)
class StepLostMessage:
    saga: UUID
    step: str
    operation: str
    reason: str


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


def handle_step_failed(deliveries: Sequence[Delivery[StepFailedMessage]]) -> list[Outcome]:
    """The `link_error` of every link: a failure without its reason (see `refusals.explain_causes`)."""
    for part in split_unique([delivery.message for delivery in deliveries], lambda failed: failed.saga):
        causes = {
            each.saga: {
                "step": each.step,
                "code": "step_failed",
                "reason": f"{each.step or each.operation} failed",
            }
            for each in part
        }
        runner.handle_triggers({each.saga: StepFailed(each.step, each.operation) for each in part}, causes)
    return [None] * len(deliveries)


def handle_step_lost(deliveries: Sequence[Delivery[StepLostMessage]]) -> list[Outcome]:
    """A participant was set back behind a step that was done: the saga is parked (rule 25, parked)."""
    for part in split_unique([delivery.message for delivery in deliveries], lambda lost: lost.saga):
        causes = {each.saga: {"step": each.step, "code": LOST, "reason": each.reason} for each in part}
        with transaction.atomic():
            for each in part:
                reason = {"code": LOST, "reason": each.reason}
                refusals.record_failure(each.saga, each.step, each.operation, reason)
            runner.handle_triggers({each.saga: StepLost(each.step, each.operation) for each in part}, causes)
    return [None] * len(deliveries)


def handle_complete(deliveries: Sequence[Delivery[EndMessage]]) -> list[Outcome]:
    """The last link of a chain of actions."""
    runner.complete_sagas({delivery.message.saga: delivery.replies for delivery in deliveries})
    return [None] * len(deliveries)


def handle_compensated(deliveries: Sequence[Delivery[EndMessage]]) -> list[Outcome]:
    """The last link of a stop chain."""
    for part in split_unique(deliveries, lambda delivery: delivery.message.saga):
        ends = {each.message.saga: StopChainEnd(each.replies, each.message.incomplete) for each in part}
        runner.end_stop_chains(ends)
    return [None] * len(deliveries)


def handle_pivot_ran(deliveries: Sequence[Delivery[PivotRanMessage]]) -> list[Outcome]:
    """A fence found that its pivot ran."""
    messages = [delivery.message for delivery in deliveries]
    with transaction.atomic():
        step_log.merge_entries(
            step_log.LoggedStep(each.saga, each.step, StepState.DONE, each.reply) for each in messages
        )
        runner.handle_triggers({each.saga: PivotRan() for each in messages})
    return [None] * len(deliveries)


def handle_pivot_fenced(deliveries: Sequence[Delivery[PivotFencedMessage]]) -> list[Outcome]:
    """A fence found that its pivot did not run and never will; the undos are already under way."""
    step_log.merge_entries(
        step_log.LoggedStep(each.message.saga, each.message.step, StepState.UNDONE, None)
        for each in deliveries
    )
    return [None] * len(deliveries)


def register_task(name: str, message: type[Any], handle: Handle, *, chained: bool = False) -> None:
    durable_task(name, Work(message=message, handle=handle, chained=chained, exhausted="dead letter"))


register_task(STEP_FAILED, StepFailedMessage, handle_step_failed)
register_task(STEP_LOST, StepLostMessage, handle_step_lost)
register_task(COMPLETE, EndMessage, handle_complete, chained=True)
register_task(COMPENSATED, EndMessage, handle_compensated, chained=True)
register_task(PIVOT_RAN, PivotRanMessage, handle_pivot_ran)
register_task(PIVOT_FENCED, PivotFencedMessage, handle_pivot_fenced)
CALL_WORK = Work(
    message=CallMessage,
    handle=call_participants,
    chained=True,
    exhausted="errback",
    on_exhausted=record_exhaustion,
)
durable_task(CALL, CALL_WORK, throws=(Refused, StepSuperseded))


def write_saga_log(received: Sequence[Received]) -> None:
    """Merge participants' events into the log (rule 16, the saga log); the pivot's event turns its saga forward."""
    entries = []
    for each in received:
        event = each.envelope
        if event.saga is None or not event.step or event.flow:
            continue
        if event.outcome == "failed":
            refusals.record_failure(event.saga, event.step, event.operation, each.data)
        else:
            entries.append(step_log.LoggedStep(event.saga, event.step, StepState(event.outcome), each.data))
    pivots = pivot_names()
    runner.handle_triggers(
        {
            entry.saga: StepLogged(entry.step, entry.outcome)
            for entry in step_log.merge_entries(redact_erased(entries))
            if entry.outcome is StepState.DONE and entry.step in pivots
        }
    )


def redact_erased(entries: Sequence[step_log.LoggedStep]) -> list[step_log.LoggedStep]:
    """The entries; late refusals about erased people lose their free text."""
    refused = {entry.saga for entry in entries if entry.outcome is StepState.REFUSED}
    erased = tombstones.erased_among(refused)
    return [
        replace(entry, content={**(entry.content or {}), "reason": ""})
        if entry.outcome is StepState.REFUSED and entry.saga in erased
        else entry
        for entry in entries
    ]


def pivot_names() -> set[str]:
    return {s.name for saga in Saga.registry.values() for s in saga.steps if s.kind is StepKind.PIVOT}
