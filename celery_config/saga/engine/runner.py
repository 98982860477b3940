"""The only part of the engine that reads and writes: it locks the saga row, asks the machine, carries out.

Every function runs in one transaction; what is to be sent goes to the outbox in it.
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
from celery_config.saga.dsl import Saga, find
from celery_config.saga.engine import clock, parking, scheduling, step_log
from celery_config.saga.engine.chains import Chains
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
from celery_config.saga.engine.unit_of_work import UnitOfWork, recorded
from celery_config.saga.models import SagaInstance
from celery_config.saga.states import ENDED, OPEN, Status, StepState

log = structlog.get_logger(__name__)
DEADLINE_PASSED = {
    "step": "",
    "code": "deadline_passed",
    "reason": "the saga did not end before its deadline",
}
# Word that the pivot is done, of a saga that is on its way anyway: every order hears it.
EXPECTED = Decision(Status.FORWARD)


@dataclass(frozen=True)
class Unwound:
    """What the end of a stop chain brings: the refusals that the barriers hold, by step."""

    refusals: Mapping[str, Any]
    incomplete: bool = False


def receive(saga_id: UUID, came: Trigger, *, cause: Mapping[str, str] | None = None) -> Status | None:
    """Let the saga decide about `came`; return its status afterwards, None when there is no such saga.

    Args:
        cause: why, if this should stop it: `step`, `code`, `reason`.
    """
    with transaction.atomic():
        row = SagaInstance.objects.select_for_update().filter(pk=saga_id).first()
        if row is None:
            log.warning("no such saga", saga=str(saga_id), came=repr(came))
            return None
        take(row, came, cause=cause)
        return Status(row.status)


def receive_all(came: Mapping[UUID, Trigger], causes: Mapping[UUID, Mapping[str, str]] | None = None) -> None:
    """Let each saga decide about what came for it; sagas that do not exist are passed over.

    Args:
        causes: why, if this should stop it: `step`, `code`, `reason`.
    """
    if not came:
        return
    with transaction.atomic(savepoint=False):
        found = locked(came)
        changes = UnitOfWork(clock.now(), step_log.read(found))
        for row in found:
            take(row, came[row.pk], cause=(causes or {}).get(row.pk), changes=changes)
        changes.write()


def complete(replies: Mapping[UUID, dict[str, Any]]) -> None:
    """The ends of chains: close the sagas, fill what the log missed, and tell their owners, in one (rule 11)."""
    with transaction.atomic():
        # The log before the rows, as the transaction of an event does: locks in one order everywhere.
        step_log.merge(
            Entry(saga, step, StepState.DONE, reply)
            for saga, brought in replies.items()
            for step, reply in brought.items()
        )
        changes = UnitOfWork(clock.now())
        for row in locked(replies):
            if row.status not in ENDED:
                take(row, Completed(), replies=replies[row.pk], changes=changes)
        changes.write()


def locked(sagas: Iterable[UUID]) -> list[SagaInstance]:
    """The rows of these sagas, locked in the one order."""
    return list(SagaInstance.objects.select_for_update().filter(pk__in=list(sagas)).order_by("pk"))


def compensated(unwound: Mapping[UUID, Unwound]) -> None:
    """The ends of stop chains."""
    with transaction.atomic():
        step_log.note_refusals(
            {(saga, step): refusal for saga, end in unwound.items() for step, refusal in end.refusals.items()}
        )
        receive_all({saga: Compensated(end.incomplete) for saga, end in unwound.items()})


def take(
    row: SagaInstance,
    came: Trigger,
    *,
    cause: Mapping[str, str] | None = None,
    replies: dict[str, Any] | None = None,
    changes: UnitOfWork | None = None,
) -> Decision:
    """Decide about `came`, carry it out on the locked `row`, and return the decision.

    Args:
        changes: collects what is to be written; without it that is written at once.
    """
    if changes is None:
        changes = UnitOfWork(clock.now(), step_log.read([row]))
        decision = take(row, came, cause=cause, replies=replies, changes=changes)
        changes.write()
        return decision
    saga = find(row.name, row.version)
    if saga is None:
        # A worker older or newer than the saga: one that knows it will find it due (rule 24).
        log.error("unknown saga version", saga=str(row.pk), name=row.name, version=row.version)
        make_due(row, changes)
        return IGNORE
    now, before = changes.now, row.status
    decision = decide(saga, view(row, now, changes.logs), came)
    if decision == IGNORE:
        return decision
    if decision.status and decision.status != before:
        enter(row, decision.status, now, cause)
    if decision.send:
        row.attempt += 1
        changes.messages.append((row.pk, message(saga, row, decision.send, changes)))
        row.due_at = next_look(row, now)
    elif decision.soon:
        row.due_at = min(row.due_at or now, now + timedelta(seconds=settings.TIMES.soon_after(row.drives)))
    changes.rows.append(row)
    if decision != EXPECTED and not isinstance(came, Completed):
        changes.decisions.append(recorded(row, came, before, decision))
    if row.status in ENDED and before != row.status:
        changes.ended.append((saga, row, replies or {}))
    return decision


def view(row: SagaInstance, now: datetime, logs: Mapping[UUID, Mapping[str, StepState]]) -> View:
    """The saga as the machine sees it."""
    return View(
        status=Status(row.status),
        log=logs.get(row.pk, {}),
        past_deadline=now >= row.deadline_at,
        past_patience=now >= row.since + timedelta(seconds=settings.TIMES.compensation_timeout),
    )


def enter(row: SagaInstance, status: Status, now: datetime, cause: Mapping[str, str] | None) -> None:
    row.status, row.since, row.drives = status, now, 0
    if status in ENDED:
        row.ended_at = Now()
    row.due_at = next_look(row, now) if status in OPEN else None
    if status is Status.STOPPING and not row.cause:
        row.cause = dict(cause or DEADLINE_PASSED)
    elif status is Status.PARKED:
        parking.park(row)
    else:
        parking.unpark(row)


def next_look(row: SagaInstance, now: datetime) -> datetime:
    """When the watchdog looks at the saga if nothing is heard of it."""
    silent_until = now + timedelta(seconds=settings.TIMES.silence_after(row.drives))
    return scheduling.next_check_at(row.status, now=now, silent_until=silent_until, deadline=row.deadline_at)


def make_due(row: SagaInstance, changes: UnitOfWork) -> None:
    """Let the watchdog look at an open saga before long, but not at once.

    Left overdue, one whose version nobody here knows would be looked at first for ever.
    """
    if row.status in OPEN:
        soon = changes.now + timedelta(seconds=settings.TIMES.soon_after(row.drives))
        row.due_at = scheduling.earlier_check(row.due_at, now=changes.now, soon=soon)
        changes.rows.append(row)


def message(saga: type[Saga], row: SagaInstance, send: Send, changes: UnitOfWork) -> dict[str, Any]:
    replies: dict[str, Any] = {}
    if isinstance(send, Drive):
        known = step_log.replies([row]) if changes.replies is None else changes.replies
        replies = known.get(row.pk, {})
    return Chains(saga, row.pk, row.data, row.attempt).chain(send, replies)


def stop(saga_id: UUID, *, code: str, reason: str) -> Status | None:
    """Ask the saga to stop; return its status: anything but stopping or compensated means it is too late."""
    return receive(saga_id, CancelRequested(), cause={"step": "", "code": code, "reason": reason})
