"""Orders of the load `three-steps`, whoever places them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from celery_config.common.identifiers import min_uuid7_at
from tests.bench.three.goods import Wanted, orders


class PlacedThree:
    """What all sides of the load share: they count and time the orders' rows."""

    def __init__(self) -> None:
        # Ids grow with time, so those of this run are the last of the index, however many orders there are.
        self.of_this_run = f"FROM three_order WHERE id >= '{min_uuid7_at(datetime.now(UTC))}'"

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """What a statement on the orders' database says; peers have no Django to ask it with."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def wanted(self, count: int, refused_share: float) -> Iterator[Wanted]:
        return orders(count, refused_share=refused_share)

    def ended(self) -> int:
        ((count,),) = self.execute(f"SELECT count(*) {self.of_this_run} AND ended_at IS NOT NULL")
        return int(count)

    def times(self) -> list[tuple[datetime, datetime]]:
        return [
            (start, end) for start, end in self.execute(f"SELECT created_at, ended_at {self.of_this_run}")
        ]

    def statuses(self) -> Counter[str]:
        return Counter(status for (status,) in self.execute(f"SELECT status {self.of_this_run}"))
