"""Orders of the load `three-steps`, whoever places them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from django.db import connection

from tests.bench.three.goods import Wanted, orders


class PlacedThree:
    """What all sides of the load share: they count and time the orders' rows."""

    def __init__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE three_order")

    def wanted(self, count: int, refused_share: float) -> Iterator[Wanted]:
        return orders(count, refused_share=refused_share)

    def ended(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM three_order WHERE ended_at IS NOT NULL")
            return int(cursor.fetchone()[0])

    def times(self) -> list[tuple[datetime, datetime]]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT created_at, ended_at FROM three_order")
            return list(cursor.fetchall())

    def statuses(self) -> Counter[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT status FROM three_order")
            return Counter(status for (status,) in cursor.fetchall())
