"""Runner: locks the saga's row, asks the state machine, and carries out its decision in one transaction.

No other part of the engine writes a saga; the messages of a decision go to the outbox in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction

from celery_config.db.functions import Now
from celery_config.saga.dsl import Saga, find_saga
from celery_config.saga.engine import clock, parking, refusals, scheduling, step_log
from celery_config.saga.engine.chains import ChainBuilder
from celery_config.saga.engine.machine import (
    IGNORE,
    CancelRequested,
    Compensated,
    Completed,
    Decision,
    Drive,
    Send,
    Trigger,
    View,
    decide,
)
from celery_config.saga.engine.step_log import Entry
from celery_config.saga.engine.unit_of_work import UnitOfWork, record_decision
from celery_config.saga.models import SagaInstance
from celery_config.saga.states import ENDED, OPEN, Status, StepState

log = structlog.get_logger(__name__)
DEADLINE_PASSED = {
    "step": "", "code": "deadline_passed", "reason": "the saga did not end before its deadline",
}  # fmt: skip
# A running saga's pivot is done: every order gets there, so no decision is written for it.
EXPECTED = Decision(Status.FORWARD)


@dataclass(frozen=True)
class StopChainEnd:
    """What the end of a stop chain brings: the refusals that the barriers hold, by step."""

    refusals: Mapping[str, Any]
    incomplete: bool = False


def handle_trigger(
    saga_id: UUID, trigger: Trigger, *, cause: Mapping[str, str] | None = None
) -> Status | None:
    """Let the saga decide about `trigger`; return its status afterwards, or None if there is no such saga.

    Args:
        cause: `step`, `code` and `reason`, if the trigger stops the saga.
    """
    with transaction.atomic():
        row = SagaInstance.objects.select_for_update().filter(pk=saga_id).first()
        if row is None:
            log.warning("no such saga", saga=str(saga_id), came=repr(trigger))
            return None
        apply_trigger(row, trigger, cause=cause)
        return Status(row.status)


def handle_triggers(
    triggers: Mapping[UUID, Trigger], causes: Mapping[UUID, Mapping[str, str]] | None = None
) -> None:
    """Let each saga decide about its trigger; sagas that do not exist are skipped.

    Args:
        causes: `step`, `code` and `reason`, by saga, if the trigger stops it.
    """
    if not triggers:
        return
    with transaction.atomic(savepoint=False):
        found = lock_sagas(triggers)
        work = UnitOfWork(clock.now(), step_log.read_log(found))
        for row in found:
            apply_trigger(row, triggers[row.pk], cause=(causes or {}).get(row.pk), work=work)
        work.write()


def complete_sagas(replies: Mapping[UUID, dict[str, Any]]) -> None:
    """Complete the sagas, by their chains' replies: log, end and callback in one transaction (rule 11, the end)."""
    with transaction.atomic():
        # The log before the rows, as an event's transaction does: locks are taken in one order everywhere.
        step_log.merge_entries(
            Entry(saga, step, StepState.DONE, reply)
            for saga, by_step in replies.items()
            for step, reply in by_step.items()
        )
        work = UnitOfWork(clock.now())
        for row in lock_sagas(replies):
            if row.status not in ENDED:
                apply_trigger(row, Completed(), replies=replies[row.pk], work=work)
        work.write()


def lock_sagas(sagas: Iterable[UUID]) -> list[SagaInstance]:
    """The rows of these sagas, locked in the order of their keys."""
    return list(SagaInstance.objects.select_for_update().filter(pk__in=list(sagas)).order_by("pk"))


def end_stop_chains(ends: Mapping[UUID, StopChainEnd]) -> None:
    """Write the refusals that the stop chains brought, and let the sagas decide about their end."""
    with transaction.atomic():
        refusals.record_refusals(
            {(saga, step): refusal for saga, end in ends.items() for step, refusal in end.refusals.items()}
        )
        handle_triggers({saga: Compensated(end.incomplete) for saga, end in ends.items()})


def apply_trigger(
    row: SagaInstance,
    trigger: Trigger,
    *,
    cause: Mapping[str, str] | None = None,
    replies: dict[str, Any] | None = None,
    work: UnitOfWork | None = None,
) -> Decision:
    """Decide about `trigger`, carry it out on the locked `row`, and return the decision.

    Args:
        work: collects the changes; without it they are written at once.
    """
    if work is None:
        work = UnitOfWork(clock.now(), step_log.read_log([row]))
        decision = apply_trigger(row, trigger, cause=cause, replies=replies, work=work)
        work.write()
        return decision
    saga = find_saga(row.name, row.version)
    if saga is None:
        # This worker is older or newer than the saga; one that knows the version will find it due (rule 24, versions).
        log.error("unknown saga version", saga=str(row.pk), name=row.name, version=row.version)
        schedule_check(row, work)
        return IGNORE
    now, before = work.now, row.status
    decision = decide(saga, build_view(row, now, work.logs), trigger)
    if decision == IGNORE:
        return decision
    if decision.status and decision.status != before:
        enter_status(row, decision.status, now, cause)
    if decision.send:
        row.attempt += 1
        work.messages.append((row.pk, build_message(saga, row, decision.send, work)))
        row.due_at = next_check_at(row, now)
    elif decision.soon:
        row.due_at = min(row.due_at or now, now + timedelta(seconds=settings.TIMES.soon_after(row.drives)))
    work.rows.append(row)
    if decision != EXPECTED and not isinstance(trigger, Completed):
        work.decisions.append(record_decision(row, trigger, before, decision))
    if row.status in ENDED and before != row.status:
        work.ended.append((saga, row, replies or {}))
    return decision


def build_view(row: SagaInstance, now: datetime, logs: Mapping[UUID, Mapping[str, StepState]]) -> View:
    """The saga as the machine sees it."""
    return View(
        status=Status(row.status),
        log=logs.get(row.pk, {}),
        past_deadline=now >= row.deadline_at,
        past_patience=now >= row.since + timedelta(seconds=settings.TIMES.compensation_timeout),
    )


def enter_status(row: SagaInstance, status: Status, now: datetime, cause: Mapping[str, str] | None) -> None:
    row.status, row.since, row.drives = status, now, 0
    if status in ENDED:
        row.ended_at = Now()
    row.due_at = next_check_at(row, now) if status in OPEN else None
    if status is Status.STOPPING and not row.cause:
        row.cause = dict(cause or DEADLINE_PASSED)
    elif status is Status.PARKED:
        parking.park(row)
    else:
        parking.unpark(row)


def next_check_at(row: SagaInstance, now: datetime) -> datetime:
    """When the watchdog checks the saga if no event comes until then."""
    silent_until = now + timedelta(seconds=settings.TIMES.silence_after(row.drives))
    return scheduling.next_check_at(row.status, now=now, silent_until=silent_until, deadline=row.deadline_at)


def schedule_check(row: SagaInstance, work: UnitOfWork) -> None:
    """Make the watchdog check an open saga soon, but not at once.

    If it stayed overdue, a saga of a version that no worker here knows would come first in every check.
    """
    if row.status in OPEN:
        soon = work.now + timedelta(seconds=settings.TIMES.soon_after(row.drives))
        row.due_at = scheduling.earlier_check(row.due_at, now=work.now, soon=soon)
        work.rows.append(row)


def build_message(saga: type[Saga], row: SagaInstance, send: Send, work: UnitOfWork) -> dict[str, Any]:
    replies: dict[str, Any] = {}
    if isinstance(send, Drive):
        known = step_log.read_replies([row]) if work.replies is None else work.replies
        replies = known.get(row.pk, {})
    return ChainBuilder(saga, row.pk, row.data, row.attempt).build(send, replies)


def request_stop(saga_id: UUID, *, code: str, reason: str) -> Status | None:
    """Ask the saga to stop; return its status. Any other than stopping or compensated means that it is too late."""
    return handle_trigger(saga_id, CancelRequested(), cause={"step": "", "code": code, "reason": reason})
