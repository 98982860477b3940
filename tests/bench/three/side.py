"""A side of the load "three steps": what all sides share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from celery_config.common.identifiers import min_uuid7_at
from tests.bench.three.goods import Purchase, make_purchases


class ThreeStepsSide:
    """Counts and times the rows of the orders that were placed since it was made."""

    def __init__(self) -> None:
        # Ids grow with time: the ids of this run are the last ones in the index, and few rows are read.
        self.of_this_run = f"FROM three_order WHERE id >= '{min_uuid7_at(datetime.now(UTC))}'"

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute a statement in the database of the orders and return its rows. Peers, without Django, override it."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def make_requests(self, count: int, refused_share: float) -> Iterator[Purchase]:
        return make_purchases(count, refused_share=refused_share)

    def count_ended(self) -> int:
        ((count,),) = self.execute(f"SELECT count(*) {self.of_this_run} AND ended_at IS NOT NULL")
        return int(count)

    def read_times(self) -> list[tuple[datetime, datetime]]:
        return [
            (start, end) for start, end in self.execute(f"SELECT created_at, ended_at {self.of_this_run}")
        ]

    def count_statuses(self) -> Counter[str]:
        return Counter(status for (status,) in self.execute(f"SELECT status {self.of_this_run}"))
