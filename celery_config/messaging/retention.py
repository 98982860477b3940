"""Retention: events, inbox entries, keys, barrier rows and sessions are deleted in time: no table grows without limit.

A saga's id holds the time at which the saga began. Barrier rows of a saga that began too long ago are deleted when the
orchestrator says that it has ended: a saga that is open, however old, may still be driven, undone or settled. So a
message of an old saga that finds no barrier row is carried out only if its saga is open; then it never came before.
Any other is refused, because it may have been carried out.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import DatabaseError, InterfaceError, models
from django.db.models import Min, Q
from django.utils import timezone

from celery_config.common import metrics
from celery_config.common.identifiers import min_uuid7_at, uuid7_time
from celery_config.common.services import ORCHESTRATOR
from celery_config.contracts.base import decode
from celery_config.db.limits import slow_statements
from celery_config.errors import CallFailed, OutcomeUnknown, ServiceUnavailable
from celery_config.http.json_client import JsonClient
from celery_config.messaging.models import BarrierRow, IdempotencyKey, InboxEntry, OutboxMessage
from celery_config.messaging.states import Action, Undo

log = structlog.get_logger(__name__)
# A batch takes a few milliseconds, so that publishing does not wait for it. A full one is followed by the next at once.
BATCH, EVERY_SECONDS = 1000, 30.0
SAGAS_AT_ONCE = 500
# Clocks differ: rows are kept a little longer than their messages are accepted, and after the end of their saga.
MARGIN = timedelta(days=1)
# Rows that were kept are asked about again after an hour at most; an orchestrator that did not answer, after a minute.
WALK_SECONDS, RETRY_SECONDS = 3600.0, 60.0
LATE = timedelta(days=7)
OPEN_CALL = Q(action=Action.INTENT.value) | Q(undo=Undo.INTENT.value)


def is_too_old(saga: UUID) -> bool:
    """Whether the saga's barrier rows may be deleted already."""
    began = uuid7_time(saga)
    return began is not None and began < timezone.now() - timedelta(days=settings.SAGA_RETENTION_DAYS)


def compute_margin() -> timedelta:
    """How much longer than their time, and than their saga, barrier rows are kept."""
    return min(MARGIN, timedelta(days=settings.SAGA_RETENTION_DAYS) / 10)


def compute_walk_seconds() -> float:
    """After how many seconds rows that were kept are asked about again."""
    return min(WALK_SECONDS, compute_margin().total_seconds())


@dataclass(frozen=True)
class SagaEnds:
    """What the orchestrator knows of some sagas and choreographed orders; it does not know those in neither."""

    ended: frozenset[UUID] = frozenset()
    """Those that ended long enough ago (`compute_margin`) for no message of theirs to be under way any more."""
    open: frozenset[UUID] = frozenset()


def ask_orchestrator(sagas: Collection[UUID]) -> SagaEnds:
    """Ask which of these sagas have ended.

    Raises:
        OutcomeUnknown, CallFailed: it did not answer.
    """
    asked = {"sagas": [str(saga) for saga in sagas]}
    return decode(SagaEnds, orchestrator().post("/api/sagas/ended/", asked, key=str(uuid4())))


@functools.cache
def orchestrator() -> JsonClient:
    """The client of the orchestrator; it keeps its connections, and all threads share it."""
    return JsonClient(
        settings.SERVICE_URLS[ORCHESTRATOR],
        seconds=settings.TIMES.call,
        token=settings.SERVICE_TOKENS.find_token(ORCHESTRATOR, settings.SERVICE),
        away=ServiceUnavailable,
    )


def old_rows(late: timedelta = timedelta()) -> Q:
    """Rows past their time; never one with an open call, since only it knows the call's key.

    Args:
        late: only rows that were past it so long ago.
    """
    before = timezone.now() - timedelta(days=settings.SAGA_RETENTION_DAYS) - compute_margin() - late
    return Q(saga__lt=min_uuid7_at(before), created_at__lt=before) & ~OPEN_CALL


def find_old_sagas(after: UUID, limit: int, late: timedelta = timedelta()) -> dict[UUID, datetime]:
    """Return the sagas next to this one whose rows are past their time, each with the time of its first row."""
    rows = BarrierRow.objects.filter(old_rows(late), saga__gt=after).order_by("saga")
    return dict(rows.values_list("saga").annotate(first=Min("created_at"))[:limit])


def describe_unanswered() -> str:
    """Name the sagas whose rows have been kept for a week, since it is not known whether they ended; empty: none."""
    unknown: list[UUID] = []
    position = UUID(int=0)
    while found := find_old_sagas(position, SAGAS_AT_ONCE, LATE):
        try:
            known = ask_orchestrator(found)
        except (OutcomeUnknown, CallFailed):
            return (
                f"barrier rows of {min(found)} and other old sagas are kept: the order service does not say whether"
                " they have ended"
            )
        unknown += sorted(found.keys() - known.ended - known.open)
        position = max(found)
    if not unknown:
        return ""
    return f"barrier rows of {len(unknown)} old sagas are kept: the order service does not know {unknown[0]}"


class BarrierRetention:
    """Deletes the barrier rows of old sagas that have ended, batch by batch in the order of the sagas' ids.

    It walks past the rows that are kept, so they hold up nothing, and begins again after `compute_walk_seconds`. Rows
    of which no orchestrator knows are kept, too; the metric shows how long they wait.

    Args:
        ask: gives what is known of sagas.
    """

    def __init__(self, ask: Callable[[Collection[UUID]], SagaEnds] = ask_orchestrator) -> None:
        self.ask = ask
        self.walk_at = self.ask_at = 0.0
        self.position = UUID(int=0)
        self.unknown: tuple[datetime, UUID] | None = None
        """The oldest saga of this walk that the orchestrator does not know, after the time of its first row."""

    def run(self, sagas: int = SAGAS_AT_ONCE) -> None:
        """Walk on from where the last run stopped to the last old row.

        Args:
            sagas: how many are asked about at once.
        """
        now = time.monotonic()
        if now < self.ask_at:
            return
        if now >= self.walk_at:
            self.walk_at, self.position, self.unknown = now + compute_walk_seconds(), UUID(int=0), None
        found: dict[UUID, datetime] = {}
        try:
            while found := find_old_sagas(self.position, sagas):
                self.delete_ended(found)
        except (OutcomeUnknown, CallFailed) as error:
            log.warning("old barrier rows are kept: their orchestrator does not answer", error=str(error))
            self.ask_at = now + RETRY_SECONDS
        except (DatabaseError, InterfaceError) as error:
            log.warning("old barrier rows are kept until the database answers", error=str(error))
        self.report(oldest(self.unknown, *((at, saga) for saga, at in found.items())))

    def delete_ended(self, found: dict[UUID, datetime]) -> None:
        """Delete the rows of those that have ended, and walk on.

        Raises:
            OutcomeUnknown, CallFailed: the orchestrator did not answer; nothing was deleted.
        """
        known = self.ask(found)
        # The condition is in the statement that deletes: a row may have been taken up again since it was found.
        BarrierRow.objects.filter(old_rows(), saga__in=known.ended & found.keys()).delete()
        answered = known.ended | known.open
        unknown = ((at, saga) for saga, at in found.items() if saga not in answered)
        self.unknown = oldest(self.unknown, *unknown)
        self.position = max(found)

    @staticmethod
    def report(unanswered: tuple[datetime, UUID] | None) -> None:
        """Show for how long rows have waited for word of their saga's end.

        Args:
            unanswered: the oldest saga of which there is none, after the time of its first row.
        """
        written, saga = unanswered or (timezone.now(), None)
        kept = timedelta(days=settings.SAGA_RETENTION_DAYS) + compute_margin()
        late = max(timezone.now() - written - kept, timedelta())
        metrics.BARRIER_UNANSWERED.set(late.total_seconds())
        if late > LATE:
            log.error("nobody says whether an old saga has ended", oldest=str(saga), days=late.days)


def oldest(*sagas: tuple[datetime, UUID] | None) -> tuple[datetime, UUID] | None:
    return min(filter(None, sagas), default=None)


@slow_statements()
def delete_expired(batch: int = BATCH) -> bool:
    """Delete a batch of old events, inbox entries, keys and sessions; return whether there may be more."""
    events = timezone.now() - timedelta(days=settings.EVENT_RETENTION_DAYS)
    keys = timezone.now() - timedelta(days=settings.SAGA_RETENTION_DAYS)
    full = [
        delete_batch(OutboxMessage, Q(published_at__lt=events), "published_at", batch),
        delete_batch(InboxEntry, Q(received_at__lt=events), "received_at", batch),
        delete_batch(IdempotencyKey, Q(created_at__lt=keys), "created_at", batch),
        delete_batch(Session, Q(expire_date__lt=timezone.now()), "expire_date", batch),
    ]
    return any(full)


def delete_batch(model: type[models.Model], which: Q, oldest: str, batch: int = BATCH) -> bool:
    """Delete a batch of rows in one statement; return whether it was a full one.

    Args:
        oldest: the field whose order puts the oldest rows first; it needs an index.
    """
    rows: Any = model._default_manager.order_by()
    deleted, _ = rows.filter(pk__in=rows.filter(which).order_by(oldest).values("pk")[:batch]).delete()
    return bool(deleted == batch)
