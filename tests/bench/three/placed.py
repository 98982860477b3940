"""Orders of the load `three-steps`, whoever places them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tests.bench.three.goods import Wanted, orders


class PlacedThree:
    """What all sides of the load share: they count and time the orders' rows."""

    def __init__(self) -> None:
        self.execute("TRUNCATE three_order")

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """What a statement on the orders' database says; peers have no Django to ask it with."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def wanted(self, count: int, refused_share: float) -> Iterator[Wanted]:
        return orders(count, refused_share=refused_share)

    def ended(self) -> int:
        ((count,),) = self.execute("SELECT count(*) FROM three_order WHERE ended_at IS NOT NULL")
        return int(count)

    def times(self) -> list[tuple[datetime, datetime]]:
        return [(start, end) for start, end in self.execute("SELECT created_at, ended_at FROM three_order")]

    def statuses(self) -> Counter[str]:
        return Counter(status for (status,) in self.execute("SELECT status FROM three_order"))
