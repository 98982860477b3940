"""Runner: locks a flow's rows, lets them decide, and carries the decisions out in one transaction.

No other part of the engine writes these rows; the messages of a decision go to the outbox in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import QuerySet

from celery_config.db import bulk, functions
from celery_config.db.functions import cached_sql
from celery_config.saga.causes import tells_silence
from celery_config.saga.dsl import Step, find_saga
from celery_config.saga.engine import clock, parking, refusals, step_log
from celery_config.saga.engine.flows import Cause, WatchedFlow
from celery_config.saga.engine.machine import CLOSED, CancelRequested, Compensated, Completed, Stop, Trigger
from celery_config.saga.engine.plan import plan_links
from celery_config.saga.engine.saga_flow import SAGAS, SagaFacts
from celery_config.saga.engine.step_log import LoggedStep
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.models import SagaInstance
from celery_config.saga.states import ENDED, Status, StepState

log = structlog.get_logger(__name__)


Speakers = Callable[[str], str | None]
"""Gives the service whose word a chain's end has for a step; empty if no word is needed, None if there is none."""


def trust(_step: str) -> str:
    return ""


@dataclass(frozen=True)
class ChainEnd:
    """What the end of a chain of actions brings: the replies of the steps."""

    replies: dict[str, Any]
    find_speaker: Speakers = trust


@dataclass(frozen=True)
class StopChainEnd:
    """What the end of a stop chain brings: the refusals that the barriers hold, by step."""

    refusals: Mapping[str, Any]
    incomplete: bool = False
    find_speaker: Speakers = trust


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


@cached_sql
def select_any_parked() -> QuerySet[SagaInstance, Any]:
    """The statement that finds whether a saga is parked."""
    return SagaInstance.objects.filter(status=Status.PARKED).values("pk")[:1]


@transaction.atomic
def update_faults(sagas: Collection[UUID]) -> None:
    """Write down what stands in the way of parked sagas that were silent, and of which something was heard now."""
    # Each batch of events asks: while nothing is parked, this one is cheap.
    if not functions.fetch_all(*select_any_parked()):
        return
    parked = SagaInstance.objects.filter(pk__in=sagas, status=Status.PARKED).select_for_update()
    rows = [row for row in parked.order_by("pk") if tells_silence(row.fingerprint)]
    logs = SAGAS.read_logs(rows) if rows else {}
    for row in rows:
        row.fingerprint = parking.make_fingerprint(SAGAS.find_fault(row, logs.get(row.pk, {})))
    bulk.update(SagaInstance, rows, ["fingerprint"])


def complete_sagas(ends: Mapping[UUID, ChainEnd]) -> set[UUID]:
    """Complete the sagas, by their chains' replies: log, end and callback in one transaction (rule 11, the end).

    Returns:
        The sagas that go on: of one of their steps neither the log nor its participant's word says that it is done.
    """
    with transaction.atomic():
        # The log before the rows, as an event's transaction does: locks are taken in one order everywhere.
        step_log.merge_entries(
            LoggedStep(saga, step, StepState.DONE, reply, speaker)
            for saga, end in ends.items()
            for step, reply in end.replies.items()
            if (speaker := end.find_speaker(step)) is not None
        )
        rows = [row for row in SAGAS.lock(ends) if row.status not in ENDED]
        facts = SagaFacts(rows, brought={saga: end.replies for saga, end in ends.items()})
        unproved = find_unproved_sagas(rows, ends, facts)
        work = UnitOfWork(SAGAS, clock.now(), facts)
        for row in rows:
            if row.pk in unproved:
                work.advance_check(row)
            else:
                work.apply_trigger(row, Completed())
        work.write()
    return unproved


def find_unproved_sagas(
    rows: Sequence[SagaInstance], ends: Mapping[UUID, ChainEnd], facts: SagaFacts
) -> set[UUID]:
    """Return the sagas of which a step is not proved to be done; replace replies that only the chain repeats."""
    doubtful: dict[UUID, list[str]] = {}
    for row in rows:
        saga, end = find_saga(row.name, row.version), ends[row.pk]
        steps = saga.steps if saga else ()
        if some := [step.name for step in steps if not is_proved(step, end.find_speaker)]:
            doubtful[row.pk] = some
    if not doubtful:
        return set()
    known = step_log.read_replies([row for row in rows if row.pk in doubtful])
    for saga_id, steps_of_it in doubtful.items():
        proved = {name: known.get(saga_id, {}).get(name) for name in steps_of_it}
        facts.brought = {**facts.brought, saga_id: {**facts.brought[saga_id], **proved}}
    return {saga_id for saga_id, some in doubtful.items() if not known.get(saga_id, {}).keys() >= set(some)}


def is_proved(step: Step, find_speaker: Speakers) -> bool:
    """Whether the end of a chain has the word of the step's own participant."""
    return find_speaker(step.name) in ("", step.command.service)


def end_stop_chains(ends: Mapping[UUID, StopChainEnd]) -> set[UUID]:
    """Write the refusals that the stop chains brought, and let the sagas decide about their end.

    Returns:
        The sagas that go on: of a fence or undo neither the log nor its participant's word says that it is done.
    """
    with transaction.atomic():
        refusals.record_refusals(
            {
                (saga, step): (speaker, refusal)
                for saga, end in ends.items()
                for step, refusal in end.refusals.items()
                if (speaker := end.find_speaker(step)) is not None
            }
        )
        found = SAGAS.lock(ends)
        work = UnitOfWork.begin(SAGAS, found)
        unproved = {row.pk for row in found if not is_undone(row, ends[row.pk], work.facts)}
        for row in found:
            if row.pk in unproved:
                work.advance_check(row)
            else:
                work.apply_trigger(row, Compensated(ends[row.pk].incomplete))
        work.write()
    return unproved


def is_undone(row: SagaInstance, end: StopChainEnd, facts: SagaFacts) -> bool:
    """Whether it is proved of each fence and undo of a stop chain that it is done, or the chain says that it is not."""
    saga, log = find_saga(row.name, row.version), facts.logs.get(row.pk, {})
    if saga is None or end.incomplete or row.status in ENDED:
        return True
    links = [link.step for link in plan_links(saga, Stop()) if link.step]
    return all(
        log.get(name) in CLOSED or is_proved(saga.steps[saga.index(name)], end.find_speaker) for name in links
    )


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
