"""The relay marks the flows that are held, and lets go of them in waves (rule 30, holds).

A wave is one step of a mark: all flows up to an id are let go, and ids grow with time. So a participant needs no list
of them, and a wave that is read late or twice changes nothing. Several relays may run: the list's row decides.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import QuerySet, Value

from celery_config.db.functions import cached_sql, fetch_now
from celery_config.failpoints.points import Point, reach
from celery_config.messaging.database_gate import DATABASE_AWAY
from celery_config.messaging.holds.hold_list import lock_row
from celery_config.messaging.outbox.relay import BackgroundDuty
from celery_config.saga.engine.flows import flows
from celery_config.saga.engine.holding import mark_all, mark_some
from celery_config.saga.holds.models import Hold
from celery_config.saga.holds.steering import end_hold, list_open, publish

log = structlog.get_logger(__name__)
REST = 3
"""How much longer it rests than it works."""
LONGEST_WAVE = 5.0
"""In seconds. A relay that was away does not let go of all that it missed."""


class HoldRunner:
    """Runs the duty in a thread of its own. Marking rests for longer than it works: the relay goes on publishing."""

    def __init__(self) -> None:
        self.background = BackgroundDuty("holds", self.run)
        self.marks_at = 0.0

    def start(self) -> None:
        self.background.start()

    def run(self) -> None:
        let_go_waves()
        began = time.monotonic()
        if began >= self.marks_at:
            mark_held()
            now = time.monotonic()
            self.marks_at = now + REST * (now - began)


@cached_sql
def select_held() -> QuerySet[Any, Any]:
    """The statement of what is held, or is marked as held."""
    marked = [flow.model._default_manager.filter(held_since__isnull=False) for flow in flows.values()]
    held, *others = (rows.order_by().values(one=Value(1)) for rows in (list_open(), *marked))
    found: QuerySet[Any, Any] = held.union(*others, all=True)
    return found


def mark_held() -> None:
    mark_all([hold.make_known() for hold in list_open()])


def let_go_waves() -> None:
    waves = Hold.objects.filter(ended_at__isnull=True, per_second__isnull=False)
    for pk in list(waves.values_list("pk", flat=True)):
        try:
            let_go_wave(pk)
        except DATABASE_AWAY:
            raise
        except Exception:
            log.exception("a wave cannot be let go; the other holds go on", hold=str(pk))


@transaction.atomic
def let_go_wave(pk: UUID) -> int:
    """Let go of the next wave of a hold, and end the hold if nothing is left; return how many flows were let go.

    Their deadlines move in the same transaction: a relay that dies has done all of it, or nothing.
    """
    row = lock_row()
    hold = Hold.objects.select_for_update().get(pk=pk)
    if hold.ended_at is not None or hold.per_second is None:
        return 0
    now = fetch_now()
    size = find_size(hold, now)
    if not size:
        return 0
    next_ones = find_next(hold, size)
    if not next_ones:
        end_hold(row, hold)
        log.info("a hold ended: all is let go", hold=str(pk), held=hold.label)
        return 0
    hold.let_go_to, hold.wave_at = next_ones[-1], now
    hold.save(update_fields=["let_go_to", "wave_at"])
    holds = publish(row)
    for flow in flows.values():
        mark_some(flow, holds, next_ones)
    reach(Point.DECIDED)
    return len(next_ones)


def find_size(hold: Hold, now: datetime) -> int:
    """Return how many flows the next wave has by now; a slow rate has a wave of one when its time has come."""
    rate = hold.per_second or 0.0
    if hold.wave_at is None:
        return max(1, int(rate))
    most = max(1, int(rate * LONGEST_WAVE))
    return min(most, int(rate * (now - hold.wave_at).total_seconds()))


def find_next(hold: Hold, size: int) -> list[UUID]:
    """The next flows that this hold holds, in the order of their ids."""
    found: list[UUID] = []
    for flow in flows.values():
        rows: Any = flow.model._default_manager.filter(held_since__isnull=False, hold=hold.pk)
        if hold.let_go_to is not None:
            rows = rows.filter(pk__gt=hold.let_go_to)
        found += rows.order_by("pk").values_list("pk", flat=True)[:size]
    return sorted(found)[:size]
