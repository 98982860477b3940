"""Settled time: up to when no transaction writes a time any more. A reader of rows by time misses none before it.

A statement writes the time at which it began, and its transaction has a number when it ends. So once all transactions
with a lower number than a look have ended, no time is written any more that is earlier than the longest statement
before that look.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import connection, models

from celery_config.db.functions import POSTGRESQL_NOW, SQLITE_NOW, fetch_all, parse_time


class SettledTime(models.Model):
    """A reader's mark: what it has learned of settled time. Lock the row before `look`."""

    settled_to = models.DateTimeField(help_text="no transaction writes an earlier time any more")
    seen_at = models.DateTimeField(null=True, help_text="when its last look began")
    seen_transaction = models.BigIntegerField(default=0, help_text="the number of that look")

    class Meta:
        abstract = True

    @classmethod
    def lock(cls, make: Callable[[], Self]) -> Self | None:
        """Lock and return the row of a reader that has one; None while another process holds it.

        Args:
            make: returns the row of a reader that begins; it is written.
        """
        skip = connection.features.has_select_for_update_skip_locked
        locked = cls._default_manager.select_for_update(skip_locked=skip).filter(pk=1)
        mark = locked.first()
        if mark is None and not cls._default_manager.filter(pk=1).exists():
            cls._default_manager.bulk_create([make()], ignore_conflicts=True)
            mark = locked.first()
        return mark

    def look(self) -> datetime:
        """Find up to when time is settled; return the database's time. Save the row afterwards."""
        now, oldest, own = read_transactions()
        # A database that was copied to another server has other numbers: what the mark says of them is void.
        is_foreign = self.seen_transaction > own
        if self.seen_at and not is_foreign and self.seen_transaction > oldest:
            return now
        if self.seen_at and not is_foreign:
            settled = self.seen_at - timedelta(seconds=settings.STATEMENT_SECONDS)
            self.settled_to = max(self.settled_to, settled)
        self.seen_at, self.seen_transaction = now, own
        return now


def read_transactions() -> tuple[datetime, int, int]:
    """The database's time, its oldest open transaction, and this one; on SQLite they are serial."""
    if connection.vendor != "postgresql":
        ((now,),) = fetch_all(f"SELECT {SQLITE_NOW}")
        return parse_time(now), 0, 0
    ((now, oldest, own),) = fetch_all(
        f"SELECT {POSTGRESQL_NOW}, pg_snapshot_xmin(pg_current_snapshot())::text::bigint,"
        " pg_current_xact_id()::text::bigint"
    )
    return now, oldest, own
