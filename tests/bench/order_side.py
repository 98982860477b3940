"""A side of the load "place-order": what all sides share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import cast
from uuid import UUID

from celery_config.contracts.inventory import Line
from order_project.models import Customer, Order
from tests.bench.goods import make_baskets

Lines = tuple[Line, ...]


class OrderSide:
    """Counts and times the orders of a customer who was made for this run.

    Args:
        place: places one order of a customer.
    """

    def __init__(self, place: Callable[[UUID, Lines], object]) -> None:
        self._place = place
        self.customer = Customer.objects.create(name="bench")
        self.orders = Order.objects.filter(customer=self.customer)

    def make_requests(self, count: int, refused_share: float) -> Iterable[Lines]:
        assert not refused_share, "no order of this load is refused"
        return make_baskets(count)

    def place(self, request: Lines) -> None:
        self._place(self.customer.pk, request)

    def count_ended(self) -> int:
        return self.orders.filter(ended_at__isnull=False).count()

    def read_times(self) -> list[tuple[datetime, datetime]]:
        # All orders have ended: no `ended_at` is empty.
        return cast(
            "list[tuple[datetime, datetime]]", list(self.orders.values_list("created_at", "ended_at"))
        )

    def count_statuses(self) -> Counter[str]:
        return Counter(self.orders.values_list("status", flat=True))
