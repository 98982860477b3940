"""Runner: locks a flow's rows, lets them decide, and carries the decisions out in one transaction.

No other part of the engine writes these rows; the messages of a decision go to the outbox in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction

from celery_config.saga.engine import clock, refusals, step_log
from celery_config.saga.engine.flows import Cause, WatchedFlow
from celery_config.saga.engine.machine import CancelRequested, Compensated, Completed, Trigger
from celery_config.saga.engine.saga_flow import SAGAS, SagaFacts
from celery_config.saga.engine.step_log import LoggedStep
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.states import ENDED, Status, StepState

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class StopChainEnd:
    """What the end of a stop chain brings: the refusals that the barriers hold, by step."""

    refusals: Mapping[str, Any]
    incomplete: bool = False


def handle_trigger(
    row_id: UUID, trigger: Trigger, *, cause: Cause | None = None, flow: WatchedFlow[Any, Any] = SAGAS
) -> Status | None:
    """Let one row decide about `trigger`; return its status afterwards, or None if there is no such row."""
    found = handle_triggers({row_id: trigger}, {row_id: cause} if cause else {}, flow)
    if not found:
        log.warning("no such saga", saga=str(row_id), came=repr(trigger))
        return None
    return Status(found[0].status)


def handle_triggers(
    triggers: Mapping[UUID, Trigger],
    causes: Mapping[UUID, Cause] = MappingProxyType({}),
    flow: WatchedFlow[Any, Any] = SAGAS,
) -> list[Any]:
    """Let each row decide about its trigger; return the rows. Unknown ids are skipped.

    Args:
        causes: by id, for the rows that the trigger stops.
    """
    if not triggers:
        return []
    with transaction.atomic(savepoint=False):
        found = flow.lock(triggers)
        work = UnitOfWork.begin(flow, found)
        for row in found:
            work.apply_trigger(row, triggers[row.pk], causes.get(row.pk))
        work.write()
        return found


def complete_sagas(replies: Mapping[UUID, dict[str, Any]]) -> None:
    """Complete the sagas, by their chains' replies: log, end and callback in one transaction (rule 11, the end)."""
    with transaction.atomic():
        # The log before the rows, as an event's transaction does: locks are taken in one order everywhere.
        step_log.merge_entries(
            LoggedStep(saga, step, StepState.DONE, reply)
            for saga, by_step in replies.items()
            for step, reply in by_step.items()
        )
        work = UnitOfWork(SAGAS, clock.now(), SagaFacts(brought=replies))
        for row in SAGAS.lock(replies):
            if row.status not in ENDED:
                work.apply_trigger(row, Completed())
        work.write()


def end_stop_chains(ends: Mapping[UUID, StopChainEnd]) -> None:
    """Write the refusals that the stop chains brought, and let the sagas decide about their end."""
    with transaction.atomic():
        refusals.record_refusals(
            {(saga, step): refusal for saga, end in ends.items() for step, refusal in end.refusals.items()}
        )
        handle_triggers({saga: Compensated(end.incomplete) for saga, end in ends.items()})


def request_stop(
    row_id: UUID, *, code: str, reason: str, flow: WatchedFlow[Any, Any] = SAGAS
) -> Status | None:
    """Ask a flow to stop; return its status. Any other than stopping or compensated means that it is too late."""
    return handle_trigger(
        row_id, CancelRequested(), cause={"step": "", "code": code, "reason": reason}, flow=flow
    )


def advance_checks(flow: WatchedFlow[Any, Any], ids: Iterable[UUID]) -> set[UUID]:
    """Make the watchdog check rows soon that lost a message; return the ids that the flow knows."""
    found = flow.lock(ids)
    work = UnitOfWork.begin(flow, found)
    for row in found:
        work.advance_check(row)
    work.write()
    return {row.pk for row in found}
