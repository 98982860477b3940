"""Held flows: the watchdog leaves them alone, and their deadline moves by the time held (rule 30, holds).

A participant's worker holds the message; what is written here follows from the hold and the log, so that no report can
be lost. A stretch of time is counted once: the transaction that gives it back also ends it, under the row's lock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from celery_config.common.grouping import split_chunks
from celery_config.common.isolation import run_isolated
from celery_config.db import bulk
from celery_config.messaging.database_gate import DATABASE_AWAY
from celery_config.messaging.holds.targets import KnownHold, find_hold
from celery_config.messaging.outbox.writing import FAR_AWAY
from celery_config.saga.engine import clock
from celery_config.saga.engine.flows import WatchedFlow, flows, schedule_check
from celery_config.saga.models import WatchedRow
from celery_config.saga.states import OPEN

log = structlog.get_logger(__name__)
BATCH = 500
HELD = ("held_since", "hold", "held_times", "deadline_at")
"""What marking and freeing changes of a row."""
COLUMNS = (*HELD, "since", "due_at")
MOST_TIMES = 20
"""So many of the last times in which it was held a row keeps."""


def find_covering(
    flow: WatchedFlow[Any, Any], rows: Sequence[Any], facts: Any, holds: Sequence[KnownHold]
) -> dict[UUID, KnownHold]:
    """Return the holds that cover what open rows wait for, by row."""
    if not holds:
        return {}
    asked = {row.pk: flow.find_asked(row, facts) for row in rows if row.status in OPEN}
    return {pk: hold for pk, step in asked.items() if (hold := find_hold(holds, step))}


def mark_rows(
    flow: WatchedFlow[Any, Any], rows: Sequence[Any], facts: Any, holds: Sequence[KnownHold], now: datetime
) -> set[UUID]:
    """Mark these locked rows as held or free, as the holds say; return the ids of those that are held.

    Args:
        now: saga time.
    """
    covering, changed = find_covering(flow, rows, facts, holds), []
    for row in rows:
        hold = covering.get(row.pk)
        if hold and row.held_since is None:
            row.held_since, row.hold, row.due_at = now, hold.id, now + FAR_AWAY
            note_held(row, hold)
        elif hold and row.hold != hold.id:
            row.hold = hold.id
            note_freed(row)
            note_held(row, hold)
        elif hold is None and row.held_since is not None:
            free_row(row, now)
        else:
            continue
        changed.append(row)
    bulk.update(flow.model, changed, COLUMNS)
    return set(covering)


def free_row(row: WatchedRow, now: datetime) -> None:
    """Give a locked row back the time for which it was held; the caller saves it.

    Args:
        now: saga time.
    """
    if row.held_since is None:
        return
    held = max(now - row.held_since, timedelta(0))
    note_freed(row, moved=held)
    row.deadline_at += held
    # Patience counts from here: what is finished after a hold of a day is not parked for that day.
    row.since = min(row.since + held, now)
    row.held_since = row.hold = None
    if row.status in OPEN:
        schedule_check(row, now)


def note_held(row: WatchedRow, hold: KnownHold) -> None:
    """Note in a row's own history that it is held from now on; times are by the clock on the wall."""
    began = {"from": timezone.now().isoformat(), "what": hold.label, "by": hold.by, "why": hold.why}
    row.held_times = [*(row.held_times or ()), began][-MOST_TIMES:]


def note_freed(row: WatchedRow, moved: timedelta | None = None) -> None:
    """Note that what a row was held by holds it no more.

    Args:
        moved: by how much its deadline moves; None: another hold follows, and its end moves it for both.
    """
    *earlier, last = row.held_times or [{}]
    if last and "to" not in last:  # an older version noted nothing
        told: dict[str, Any] = {"to": timezone.now().isoformat()}
        if moved is not None:
            told["moved_seconds"] = moved.total_seconds()
        row.held_times = [*earlier, last | told]


def mark_all(holds: Sequence[KnownHold]) -> None:
    """Look at every open flow, and mark it as held or free."""
    for flow in flows.values():
        for ids in split_chunks(list_ids(flow, holds), BATCH):
            run_isolated(
                ids,
                partial(mark_some, flow, holds),
                log_unmarkable,
                passed_on=DATABASE_AWAY,
            )


def list_ids(flow: WatchedFlow[Any, Any], holds: Sequence[KnownHold]) -> list[UUID]:
    """Return the rows that may have to be marked: those that are held; and while something is held, all that are open.

    Two queries, each with an index of its own: with a condition on both, the whole table would be read.
    """
    rows = flow.model._default_manager.order_by().values_list("pk", flat=True)
    found = {*rows.filter(held_since__isnull=False)}
    if all(hold.flows for hold in holds):  # nothing else than flows by their ids, or nothing at all
        found |= {each for hold in holds for each in hold.flows}
    else:
        found |= {*rows.filter(status__in=OPEN)}
    return sorted(found)


def log_unmarkable(row: UUID, error: Exception) -> None:
    """Log a flow that cannot be marked; the watchdog drives it, and parks it if it cannot."""
    log.error("a flow cannot be marked as held or free", saga=str(row), exc_info=error)


def mark_some(flow: WatchedFlow[Any, Any], holds: Sequence[KnownHold], ids: Collection[UUID]) -> int:
    """Mark these rows; only those that have to change are locked. Return how many changed."""
    seen = list(flow.model._default_manager.filter(pk__in=ids))
    covering = find_covering(flow, seen, flow.read_facts(seen), holds)
    wrong = [row.pk for row in seen if row.hold != (covering[row.pk].id if row.pk in covering else None)]
    if wrong:
        with transaction.atomic():
            rows = flow.lock(wrong)
            mark_rows(flow, rows, flow.read_facts(rows), holds, clock.now())
    return len(wrong)


def count_covered(holds: Sequence[KnownHold], most: int) -> int:
    """Count the open flows that these holds would hold now; it stops after so many."""
    found = 0
    for flow in flows.values():
        for ids in split_chunks(list_ids(flow, holds), BATCH):
            rows = list(flow.model._default_manager.filter(pk__in=ids))
            found += len(find_covering(flow, rows, flow.read_facts(rows), holds))
            if found >= most:
                return found
    return found
