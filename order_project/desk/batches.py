"""A batch of equal orders, so many a second: the page asks for the next ones each second, and may stop asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from django.core.exceptions import ValidationError

from celery_config.web.forms import StrictIntegerField
from order_project.desk import orders
from order_project.desk.limits import FASTEST, MOST_ORDERS
from order_project.requests import Placed

LONGEST_NOTE = 500


class BatchInvalid(Exception):
    """What a browser sent is no batch."""


@dataclass(frozen=True)
class Batch:
    """Orders to place.

    Args:
        order: as POST /api/orders/ takes it.
        left: how many are still to be placed.
        rate: how many a second.
        placed: how many there are.
        refused: why one was not placed; then no other is.
        note: what was changed of the form.
    """

    order: dict[str, Any]
    left: int
    rate: int
    placed: int = 0
    refused: str = ""
    note: str = ""

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Batch:
        """Return the batch that a browser goes on with.

        Raises:
            BatchInvalid: it is none.
        """
        number = StrictIntegerField(min_value=0, max_value=MOST_ORDERS)
        try:
            order = msgspec.json.decode(given["order"], type=dict[str, Any])
            left, placed = number.clean(given.get("left")), number.clean(given.get("placed"))
            rate = StrictIntegerField(min_value=1, max_value=FASTEST).clean(given.get("rate"))
        except (msgspec.DecodeError, UnicodeError, ValidationError) as error:
            raise BatchInvalid(f"this is no batch: {error}") from error
        return cls(order, left, rate, placed, note=given.get("note", "")[:LONGEST_NOTE])

    def place_some(self) -> Batch:
        """Place those of one second, and return what is left.

        Raises:
            APIException: the order is none, or may not be placed.
            SagaPaused: an operator holds up new orders.
        """
        some = min(self.left, self.rate)
        order = {name: value for name, value in self.order.items() if name != "customer"}
        results = orders.place_orders([order] * some, orders.read_customer(self.order.get("customer")))
        placed = sum(isinstance(result, Placed) for result in results)
        refused = next((str(result) for result in results if not isinstance(result, Placed)), "")
        return replace(self, left=self.left - some, placed=self.placed + placed, refused=refused)

    def describe(self) -> str:
        """Say how many were placed, and why no more were."""
        if self.refused and not self.placed:
            return f"Nothing was placed: {self.refused}"
        told = f"Placed {self.placed} {'order' if self.placed == 1 else 'orders'}."
        if self.refused:
            return f"{told} No more were placed: {self.refused}"
        if self.left:
            told = f"Placed {self.placed} of {self.placed + self.left} orders: it takes JavaScript to place more."
        return f"{told} {self.note}".strip()
