"""The runner is the only part of the engine that writes rows: it locks them, asks their flow, carries out.

Every function runs in one transaction; what is to be sent goes to the outbox in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction

from celery_config.saga.engine import clock, step_log
from celery_config.saga.engine.flows import Cause, WatchedFlow
from celery_config.saga.engine.machine import CancelRequested, Compensated, Completed, Trigger
from celery_config.saga.engine.saga_flow import SAGAS, SagaFacts
from celery_config.saga.engine.step_log import Entry
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.states import ENDED, Status, StepState

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Unwound:
    """What the end of a stop chain brings: the refusals that the barriers hold, by step."""

    refusals: Mapping[str, Any]
    incomplete: bool = False


def receive(
    row_id: UUID, trigger: Trigger, *, cause: Cause | None = None, flow: WatchedFlow[Any, Any] = SAGAS
) -> Status | None:
    """Let one row decide about `trigger`; return its status afterwards, None when there is no such row."""
    found = receive_all({row_id: trigger}, {row_id: cause} if cause else {}, flow)
    if not found:
        log.warning("no such saga", saga=str(row_id), came=repr(trigger))
        return None
    return Status(found[0].status)


def receive_all(
    triggers: Mapping[UUID, Trigger],
    causes: Mapping[UUID, Cause] = MappingProxyType({}),
    flow: WatchedFlow[Any, Any] = SAGAS,
) -> list[Any]:
    """Let each row decide about its trigger; return the rows. Ids that do not exist are passed over.

    Args:
        causes: why, if this should stop it.
    """
    if not triggers:
        return []
    with transaction.atomic(savepoint=False):
        found = flow.lock(triggers)
        work = UnitOfWork.begin(flow, found)
        for row in found:
            work.take(row, triggers[row.pk], causes.get(row.pk))
        work.write()
        return found


def complete(replies: Mapping[UUID, dict[str, Any]]) -> None:
    """The ends of chains: close the sagas, fill what the log missed, and tell their owners, in one (rule 11)."""
    with transaction.atomic():
        # The log before the rows, as the transaction of an event does: locks in one order everywhere.
        step_log.merge(
            Entry(saga, step, StepState.DONE, reply)
            for saga, brought in replies.items()
            for step, reply in brought.items()
        )
        work = UnitOfWork(SAGAS, clock.now(), SagaFacts(brought=replies))
        for row in SAGAS.lock(replies):
            if row.status not in ENDED:
                work.take(row, Completed())
        work.write()


def compensated(unwound: Mapping[UUID, Unwound]) -> None:
    """The ends of stop chains."""
    with transaction.atomic():
        step_log.note_refusals(
            {(saga, step): refusal for saga, end in unwound.items() for step, refusal in end.refusals.items()}
        )
        receive_all({saga: Compensated(end.incomplete) for saga, end in unwound.items()})


def stop(row_id: UUID, *, code: str, reason: str, flow: WatchedFlow[Any, Any] = SAGAS) -> Status | None:
    """Ask a flow to stop; return its status: anything but stopping or compensated means it is too late."""
    return receive(row_id, CancelRequested(), cause={"step": "", "code": code, "reason": reason}, flow=flow)


def advance_checks(flow: WatchedFlow[Any, Any], ids: Iterable[UUID]) -> set[UUID]:
    """Let the watchdog look before long at rows of which a message was lost; return the ids that the flow knows."""
    found = flow.lock(ids)
    work = UnitOfWork.begin(flow, found)
    for row in found:
        work.advance_check(row)
    work.write()
    return {row.pk for row in found}
