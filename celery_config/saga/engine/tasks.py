"""The orchestrator's tasks: errbacks, ends of chains, reports of fences, and participants' events reach the sagas."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import transaction

from celery_config.broker.message_authentication import WORDS, MessageKeys, read_words
from celery_config.common.grouping import split_unique
from celery_config.contracts.base import LOST, Refusal, StepGaveUp, decode, encode
from celery_config.erasure import tombstones
from celery_config.errors import Forged, Refused, StepSuperseded
from celery_config.messaging.barrier.fences import PIVOT_FENCED, PIVOT_RAN
from celery_config.messaging.barrier.steps import STEP_LOST
from celery_config.messaging.deliveries import Delivery, Outcome
from celery_config.messaging.inbox.subscriptions import Received
from celery_config.messaging.tasks import Handle, Sender, Work, durable_task, reject_for_good
from celery_config.saga.dsl import Saga, StepKind
from celery_config.saga.engine import refusals, runner, step_log
from celery_config.saga.engine.chains import CALL, COMPENSATED, COMPLETE, STEP_FAILED
from celery_config.saga.engine.machine import PivotRan, StepFailed, StepLogged, StepLost
from celery_config.saga.engine.rest_steps import (
    CallMessage,
    call_participants,
    find_step,
    note_try,
    record_exhaustion,
)
from celery_config.saga.engine.runner import ChainEnd, Speakers, StopChainEnd
from celery_config.saga.states import StepState

E = TypeVar("E")
FORMS: Mapping[StepState, Any] = {
    StepState.DONE: dict[str, Any], StepState.UNDONE: dict[str, Any] | None, StepState.REFUSED: Refusal,
}  # fmt: skip
"""What a service may say of a step with this outcome: at least this can be read of it."""


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
    service: str = ""


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
    service: str = ""


@dataclass(frozen=True, kw_only=True)
class PivotFencedMessage:
    saga: UUID
    step: str
    service: str = ""


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
    said = step_log.keep_own([delivery.message for delivery in deliveries])
    for part in split_unique(said, lambda lost: lost.saga):
        causes = {each.saga: {"step": each.step, "code": LOST, "reason": each.reason} for each in part}
        with transaction.atomic():
            for each in part:
                reason = {"code": LOST, "reason": each.reason}
                refusals.record_failure(each.saga, each.step, each.operation, reason)
            runner.handle_triggers({each.saga: StepLost(each.step, each.operation) for each in part}, causes)
            runner.update_faults([each.saga for each in part])
    return [None] * len(deliveries)


def handle_complete(deliveries: Sequence[Delivery[EndMessage]]) -> list[Outcome]:
    """The last link of a chain of actions."""

    def make(_: EndMessage, replies: dict[str, Any], find_speaker: Speakers) -> ChainEnd:
        return ChainEnd(replies, find_speaker)

    return end_chains(deliveries, StepState.DONE, make, runner.complete_sagas)


def handle_compensated(deliveries: Sequence[Delivery[EndMessage]]) -> list[Outcome]:
    """The last link of a stop chain."""

    def make(message: EndMessage, refused: dict[str, Any], find_speaker: Speakers) -> StopChainEnd:
        return StopChainEnd(refused, message.incomplete, find_speaker)

    return end_chains(deliveries, StepState.UNDONE, make, runner.end_stop_chains)


def end_chains(
    deliveries: Sequence[Delivery[EndMessage]],
    outcome: StepState,
    make: Callable[[EndMessage, dict[str, Any], Speakers], E],
    end: Callable[[dict[UUID, E]], set[UUID]],
) -> list[Outcome]:
    """End chains, of which no two at once are of one saga.

    Args:
        outcome: of the steps, as the participants' words say it.
        make: makes the end from a message and what `read_end` finds.
        end: returns the sagas whose end is not proved.
    """
    outcomes: dict[int, Outcome] = {}
    for part in split_unique(deliveries, lambda delivery: delivery.message.saga):
        ends = {each.message.saga: make(each.message, *read_end(each, outcome)) for each in part}
        outcomes |= reject_unproved(part, end(ends))
    return [outcomes[id(delivery)] for delivery in deliveries]


def can_be_read(form: Any, content: Any) -> bool:
    try:
        decode(form, content)
    except msgspec.ValidationError:
        return False
    return True


def read_end(delivery: Delivery[EndMessage], outcome: StepState) -> tuple[dict[str, Any], Speakers]:
    """Return what a chain's end brings of its steps, and who says so (rule 29, authenticity).

    What cannot be read is no word. The end of a stop chain brings the refusals of its steps.
    """
    form = FORMS[StepState.REFUSED if outcome is StepState.UNDONE else outcome]
    brought = {
        step: content
        for step, content in delivery.replies.items()
        if step != WORDS and can_be_read(form, content)
    }
    words, saga = read_words(delivery.replies), str(delivery.message.saga)
    keys: MessageKeys = settings.MESSAGE_KEYS

    @functools.cache  # asked for the log and for the end
    def find_speaker(step: str) -> str | None:
        return keys.find_speaker(words.get(step), saga, step, outcome.value, brought.get(step))

    return brought, find_speaker


def reject_unproved(deliveries: Sequence[Delivery[EndMessage]], unproved: set[UUID]) -> dict[int, Outcome]:
    """The outcomes of ends of chains, by delivery; one that lacks a step's own word becomes a dead letter."""
    return {
        id(delivery): reject_for_good(Forged("the word of a step's own service is missing or false"))
        if delivery.message.saga in unproved
        else None
        for delivery in deliveries
    }


def handle_pivot_ran(deliveries: Sequence[Delivery[PivotRanMessage]]) -> list[Outcome]:
    """A fence found that its pivot ran."""
    messages = [delivery.message for delivery in deliveries]
    with transaction.atomic():
        logged = step_log.merge_entries(
            step_log.LoggedStep(each.saga, each.step, StepState.DONE, each.reply, each.service)
            for each in messages
        )
        runner.update_faults([each.saga for each in logged])
        proved = step_log.find_done_pivots(each.saga for each in messages)
        runner.handle_triggers({saga: PivotRan() for saga in proved})
    return [None] * len(deliveries)


def handle_pivot_fenced(deliveries: Sequence[Delivery[PivotFencedMessage]]) -> list[Outcome]:
    """A fence found that its pivot did not run and never will; the undos are already under way."""
    with transaction.atomic():
        logged = step_log.merge_entries(
            step_log.LoggedStep(
                each.message.saga, each.message.step, StepState.UNDONE, None, each.message.service
            )
            for each in deliveries
        )
        runner.update_faults([each.saga for each in logged])
    return [None] * len(deliveries)


def register_task(
    name: str, message: type[Any], handle: Handle, *, sender: Sender = "", chained: bool = False
) -> None:
    work = Work(message=message, handle=handle, sender=sender, chained=chained, exhausted="dead letter")
    durable_task(name, work)


register_task(STEP_FAILED, StepFailedMessage, handle_step_failed)
register_task(STEP_LOST, StepLostMessage, handle_step_lost, sender="participant")
register_task(COMPLETE, EndMessage, handle_complete, sender="orchestrator", chained=True)
register_task(COMPENSATED, EndMessage, handle_compensated, sender="orchestrator", chained=True)
register_task(PIVOT_RAN, PivotRanMessage, handle_pivot_ran, sender="participant")
register_task(PIVOT_FENCED, PivotFencedMessage, handle_pivot_fenced, sender="participant")
CALL_WORK = Work(
    message=CallMessage,
    sender="orchestrator",
    handle=call_participants,
    find_step=find_step,
    chained=True,
    exhausted="errback",
    note_try=note_try,
    on_exhausted=record_exhaustion,
)
durable_task(CALL, CALL_WORK, throws=(Refused, StepSuperseded))


def write_saga_log(received: Sequence[Received]) -> None:
    """Merge participants' events into the log (rule 16, the saga log); the pivot's event turns its saga forward."""
    entries = []
    failed: set[UUID] = set()
    for each in received:
        event = each.envelope
        if event.saga is None or not event.step or event.flow:
            continue
        if event.outcome == "failed":
            reason = encode(decode(StepGaveUp, each.data))
            refusals.record_failure(event.saga, event.step, event.operation, reason, event.speaker)
            failed.add(event.saga)
        else:
            outcome = StepState(event.outcome)
            decode(FORMS[outcome], each.data)
            entries.append(step_log.LoggedStep(event.saga, event.step, outcome, each.data, event.speaker))
    pivots, logged = pivot_names(), step_log.merge_entries(redact_erased(entries))
    if explained := failed | {each.saga for each in logged if each.outcome is StepState.REFUSED}:
        refusals.explain_stopped(explained)
    if heard := failed | {each.saga for each in logged}:
        runner.update_faults(heard)
    runner.handle_triggers(
        {
            entry.saga: StepLogged(entry.step, entry.outcome)
            for entry in logged
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
