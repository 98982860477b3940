"""Orders of the order service, whoever places them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import cast
from uuid import UUID

from celery_config.contracts.inventory import Line
from order_project.models import Customer, Order
from tests.bench.goods import baskets

Lines = tuple[Line, ...]


class PlacedOrders:
    """A side of the load `place-order`.

    Args:
        place: places one order of a customer.
    """

    def __init__(self, place: Callable[[UUID, Lines], object]) -> None:
        self._place = place
        self.customer = Customer.objects.create(name="bench")
        self.orders = Order.objects.filter(customer=self.customer)

    def wanted(self, count: int, refused_share: float) -> Iterable[Lines]:
        assert not refused_share, "all of these are fine"
        return baskets(count)

    def place(self, wanted: Lines) -> None:
        self._place(self.customer.pk, wanted)

    def ended(self) -> int:
        return self.orders.filter(ended_at__isnull=False).count()

    def times(self) -> list[tuple[datetime, datetime]]:
        # All have ended, so none has an empty `ended_at`.
        return cast(
            "list[tuple[datetime, datetime]]", list(self.orders.values_list("created_at", "ended_at"))
        )

    def statuses(self) -> Counter[str]:
        return Counter(self.orders.values_list("status", flat=True))
