"""The products and the random orders of the load "place-order": the same for every side."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from celery_config.contracts.inventory import Line
from celery_config.contracts.shipment import Address

CURRENCY = "EUR"
PRODUCTS: list[dict[str, Any]] = [
    {
        "sku": f"BENCH-{number:03}",
        "name": f"Product {number}",
        "price": 100 + number,
        "currency": CURRENCY,
        "weight_grams": 50 + number,
        "active": True,
    }
    for number in range(200)
]
OPENING_STOCK = 10**9
LINES = 2
TOKEN = "tok_approved"
ADDRESS = Address(
    name="Ada Example", line1="1 Harbour Street", city="Dublin", postal_code="D02 X285", country="IE"
)


def make_baskets(count: int) -> Iterator[tuple[Line, ...]]:
    """Yield the lines of `count` orders, the same at each call."""
    rng = random.Random(count)
    for _ in range(count):
        chosen = rng.sample(PRODUCTS, LINES)
        yield tuple(Line(sku=product["sku"], quantity=rng.randint(1, 3)) for product in chosen)
