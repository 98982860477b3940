"""The watchdog drives or stops flows whose due time has passed, so a lost message stops no order for good
(rule 17, the watchdog).

Runs in the orchestrator's relay; several may run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from celery_config.common import metrics
from celery_config.common.isolation import run_isolated
from celery_config.common.services import ORCHESTRATOR
from celery_config.contracts.base import snake_case
from celery_config.db import bulk
from celery_config.db.functions import Now, cached_sql
from celery_config.errors import ChainTooLarge
from celery_config.failpoints.points import Point, reach
from celery_config.messaging.database_gate import DATABASE_AWAY
from celery_config.messaging.holds.hold_list import read_holds
from celery_config.messaging.models import UNSENT, OutboxMessage
from celery_config.saga.causes import TOO_LARGE, CauseKind
from celery_config.saga.engine import clock, scheduling
from celery_config.saga.engine.backlogs import Backlogs
from celery_config.saga.engine.flows import Cause, WatchedFlow, flows
from celery_config.saga.engine.hindrances import Ask, find_nothing
from celery_config.saga.engine.holding import mark_rows
from celery_config.saga.engine.machine import CancelRequested, WatchdogFired
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.engine.standstill import StandstillCheck
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.models import SagaClock, WatchedRow
from celery_config.saga.states import OPEN, Status

log = structlog.get_logger(__name__)
BATCH = 500
MAX_REASON = 500
NO_BACKLOGS = Backlogs()
QUEUED_TOO_LONG = {
    "step": "",
    "code": "queued_too_long",
    "reason": "what it waits for did not get its turn in a queue that is too long",
}
HINDERED_TOO_LONG = "hindered_too_long"
metrics.prepare_labels(metrics.REDRIVES, OPEN)


def tick(standstill: StandstillCheck) -> None:
    """Advance saga time, then redrive the sagas that are due. Nothing is redriven while saga time stands."""
    reasons = standstill.find_reasons()
    now = clock.tick(", ".join(reasons))
    if not reasons:
        standstill.backlogs.note(standstill.workers.lengths, now)
        redrive_due(SAGAS, now, standstill.backlogs, standstill.hindrances.find)


def redrive_due(
    flow: WatchedFlow[Any, Any], now: datetime, backlogs: Backlogs = NO_BACKLOGS, ask: Ask = find_nothing
) -> int:
    """Redrive up to `BATCH` silent rows of a flow, and return how many were looked at.

    One that cannot be driven is parked; the others are driven.

    Args:
        ask: tells which services are in the way of those whose deadline has passed.
    """
    ids = list(find_due(flow, now).order_by("due_at").values_list("pk", flat=True)[:BATCH])
    return run_isolated(
        ids,
        partial(redrive_rows, flow, now, backlogs, ask),
        partial(park_undrivable, flow, now),
        passed_on=DATABASE_AWAY,
    )


def find_due(flow: WatchedFlow[Any, Any], now: datetime | Subquery) -> QuerySet[Any]:
    """The open rows whose time has come.

    A row whose message could be sent and is not yet published is skipped: nothing was said, so nothing can be heard.
    One whose message waits for later (a retry) is skipped up to its deadline. One that is set aside, since it cannot be
    sent, hides nothing. One that an operator holds is not due.
    """
    unpublished = OutboxMessage.objects.filter(UNSENT, saga=OuterRef("pk"))
    due: QuerySet[Any, Any] = flow.model._default_manager.filter(
        due_at__lte=now, status__in=OPEN, held_since__isnull=True
    )
    return due.exclude(
        Exists(unpublished.filter(due_at__lte=Now())) | (Exists(unpublished) & Q(deadline_at__gt=now))
    )


@cached_sql
def select_any_due(flow: WatchedFlow[Any, Any]) -> QuerySet[Any]:
    """The statement of the rows whose saga time has come."""
    now = SagaClock.objects.filter(pk=1).values("now")
    due: QuerySet[Any] = find_due(flow, Subquery(now)).order_by().values("pk")
    return due


def redrive_rows(
    flow: WatchedFlow[Any, Any], now: datetime, backlogs: Backlogs, ask: Ask, ids: Sequence[UUID]
) -> int:
    """Redrive these rows in one transaction, unless another relay has them; return how many were looked at."""
    # Before the transaction: it takes as long as an answer may.
    hindered = find_hindered(flow, now, ask, ids)
    with transaction.atomic():
        found = list(
            find_due(flow, now)
            .filter(pk__in=ids)
            .select_for_update(
                skip_locked=connection.features.has_select_for_update_skip_locked, of=lock_target()
            )
            .order_by("due_at")
        )
        table, key, at = flow.news
        lately = {f"{at}__gt": Now() - timedelta(seconds=settings.TIMES.silence_timeout)}
        news = table._default_manager.filter(**{f"{key}__in": [row.pk for row in found]}, **lately)
        heard_of = set(news.values_list(key, flat=True))
        work = UnitOfWork(flow, now, flow.read_facts(found))
        # Before its deadline may stop it: the duty that marks what is held may not have seen it yet.
        held = mark_rows(flow, found, work.facts, read_holds(), now)
        looked_at, found = len(found), [row for row in found if row.pk not in held]
        waiting = {row.pk: hindered[row.pk] for row in find_overdue(found, now) if row.pk in hindered}
        waiting |= dict.fromkeys(find_queued(found, work, heard_of, backlogs), QUEUED_TOO_LONG)
        left = leave_waiting([row for row in found if row.pk in waiting], work, waiting)
        for row in found:
            if row.pk not in left:
                redrive(row, work, row.pk in heard_of)
        work.write()
        if found:
            reach(Point.DECIDED)
    return looked_at


def park_undrivable(flow: WatchedFlow[Any, Any], now: datetime, row_id: UUID, error: Exception) -> None:
    """Park a row that cannot be driven; a human finds out why."""
    with transaction.atomic():
        found = [row for row in flow.lock([row_id]) if row.status in OPEN]
        for row in found:
            log.error("a saga cannot be driven: it is parked", **row.log_ids, exc_info=error)
        work = UnitOfWork(flow, now, flow.read_facts(found))
        for row in found:
            work.park(
                row,
                f"it cannot be driven: {error}"[:MAX_REASON],
                f"{CauseKind.UNDRIVABLE}: {name_error(error)}",
            )
        work.write()


def name_error(error: Exception) -> str:
    """Return the kind of an error in words that are the same for every row with the same fault."""
    if isinstance(error, ChainTooLarge):
        return TOO_LARGE
    return snake_case(type(error).__name__).replace("_", " ")


def lock_target() -> tuple[str, ...]:
    return ("self",) if connection.features.has_select_for_update_of else ()


def redrive(row: WatchedRow, work: UnitOfWork[Any, Any], heard_lately: bool) -> None:
    """Redrive one locked row; if what was heard of it shows that it is moving, look at it later."""
    if scheduling.is_moving(row.status, heard_lately=heard_lately, now=work.now, deadline=row.deadline_at):
        row.due_at = min(work.now + timedelta(seconds=settings.TIMES.silence_timeout), row.deadline_at)
        work.changed[row.pk] = row
        return
    row.drives += 1
    metrics.REDRIVES.labels(row.status).inc()
    work.apply_trigger(row, WatchdogFired())


def find_overdue(rows: Sequence[Any], now: datetime) -> list[Any]:
    """The rows that would be stopped now, because they did not end in time."""
    return [row for row in rows if row.status == Status.RUNNING and row.deadline_at <= now]


def find_hindered(
    flow: WatchedFlow[Any, Any], now: datetime, ask: Ask, ids: Collection[UUID]
) -> dict[UUID, Cause]:
    """Find the rows whose deadline has passed while a service of ours that they wait for is in trouble.

    Returns:
        why each is stopped in the end.
    """
    late = find_overdue(list(flow.model._default_manager.filter(pk__in=ids, deadline_at__lte=now)), now)
    if not late:
        return {}
    facts = flow.read_facts(late)
    # All news goes through the orchestrator.
    waited_for = {row.pk: {ORCHESTRATOR, flow.find_service(row, facts)} - {""} for row in late}
    told = ask({service for services in waited_for.values() for service in services})
    found = {
        row: describe_hindrance(min(services & told.keys()))
        for row, services in waited_for.items()
        if services & told.keys()
    }
    if found:
        log.warning("not stopped: they wait for a service that is in trouble", sagas=len(found), **told)
    return found


def describe_hindrance(service: str) -> Cause:
    reason = f"{service}, for which it waits, was in trouble for too long"
    return {"step": "", "code": HINDERED_TOO_LONG, "reason": reason}


def find_queued(
    rows: Sequence[Any], work: UnitOfWork[Any, Any], heard_of: Collection[UUID], backlogs: Backlogs
) -> list[UUID]:
    """Find the rows whose message may wait in a queue that is being worked off."""
    if not backlogs.exist(work.now):
        return []
    silence = timedelta(seconds=settings.TIMES.silence_timeout)
    # A retry waits in the outbox, not in a queue.
    promised = OutboxMessage.objects.filter(saga__in=[row.pk for row in rows], published_at__isnull=True)
    retried = set(promised.values_list("saga", flat=True))
    found = []
    for row in rows:
        if row.pk in retried:
            continue
        # Its message was sent by then, since it is due about a silence later. Of one that moved lately, or whose
        # deadline made it due earlier, that is not known.
        early = row.pk in heard_of or row.due_at == row.deadline_at
        sent_by = work.now if early else row.due_at - 0.8 * silence
        queues = work.flow.find_queues(row, work.facts)
        if any(backlogs.may_hold(queue, sent_by, work.now) for queue in queues):
            found.append(row.pk)
    return found


def leave_waiting(rows: Sequence[Any], work: UnitOfWork[Any, Any], causes: Mapping[UUID, Cause]) -> set[UUID]:
    """Put off rows that wait for what is ours, and stop those that waited too long.

    Their deadlines move along, so that we stop no order for being slow; nothing is sent, so that no queue grows.

    Args:
        causes: why one that waited too long is stopped.

    Returns:
        the ids of the rows that are dealt with.
    """
    left, dealt_with = list[Any](), set[UUID]()
    silence = timedelta(seconds=settings.TIMES.silence_timeout)
    for row in rows:
        longest = settings.TIMES.longest_queued(work.flow.deadline_seconds(row))
        if work.now < row.since + timedelta(seconds=longest):
            next_at = work.now + silence
            if row.status == Status.RUNNING:
                row.deadline_at = max(row.deadline_at + (next_at - row.due_at), next_at + silence)
            row.due_at = next_at
            left.append(row)
        elif row.status == Status.RUNNING:
            work.apply_trigger(row, CancelRequested(), causes[row.pk])
        else:
            continue
        dealt_with.add(row.pk)
    if left:
        bulk.update(work.flow.model, left, ["due_at", "deadline_at"])
        log.info("not driven again: they wait for their turn, or for a service", sagas=len(left))
    return dealt_with


def redrive_others(flow: WatchedFlow[Any, Any], standstill: StandstillCheck) -> bool:
    """Redrive rows of another flow than sagas; return whether there may be more.

    Saga time stands while a service is down; then nothing new becomes due.
    """
    return redrive_due(flow, clock.now(), standstill.backlogs, standstill.hindrances.find) == BATCH


def give_time_back(late: Mapping[UUID, float]) -> None:
    """Move the deadlines of open rows by the time for which our own outbox could not send their message.

    A stuck route is no fault of theirs, and saga time goes on for those who do not need it.

    Args:
        late: seconds, by row.
    """
    for flow in flows.values():
        rows: QuerySet[Any, Any] = flow.model._default_manager.filter(pk__in=late, status__in=OPEN)
        skip = connection.features.has_select_for_update_skip_locked
        moved = list(rows.select_for_update(skip_locked=skip, of=lock_target()))
        for row in moved:
            waited = timedelta(seconds=late[row.pk])
            row.deadline_at += waited
            row.due_at = row.due_at and row.due_at + waited
        bulk.update(flow.model, moved, ["deadline_at", "due_at"])
