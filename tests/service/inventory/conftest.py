"""Products with stock, and what is asked of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from celery_config.contracts.inventory import Line, ReserveStock
from inventory_app import selectors, services
from inventory_app.domain import ProductData
from inventory_app.models import Stock


class Shop:
    """Short words for what the tests do over and over."""

    def product(self, sku: str, **changes: Any) -> ProductData:
        fields: dict[str, Any] = {
            "name": f"Product {sku}",
            "price": 250,
            "currency": "GBP",
            "weight_grams": 20,
        }
        return ProductData(sku=sku, **(fields | changes))

    def stock(self, **on_hand: int) -> None:
        """Make products with so much stock."""
        services.put_products(products=[self.product(sku) for sku in on_hand], by="ada")
        services.set_opening_stock(quantities=on_hand, by="ada")

    def reserve(self, order: UUID | None = None, **quantities: int) -> ReserveStock:
        lines = tuple(Line(sku=sku, quantity=quantity) for sku, quantity in quantities.items())
        return ReserveStock(order=order or uuid4(), lines=lines)

    def levels(self) -> dict[str, tuple[int, int]]:
        """On hand and reserved, by SKU."""
        rows = Stock.objects.order_by("pk").values_list("pk", "on_hand", "reserved")
        return {sku: (on_hand, reserved) for sku, on_hand, reserved in rows}

    def faults(self) -> list[str]:
        """What the totals for the audit complain of."""
        found: list[str] = selectors.totals()["faults"]
        return found


@pytest.fixture
def shop(transactional_db: None) -> Shop:
    return Shop()
