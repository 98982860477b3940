"""The random orders of the load "three steps": the same for every side."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

SKUS = [f"SKU-{number:03}" for number in range(200)]
SOLD_OUT = "SOLD-OUT"
ADDRESS = "1 Harbour Street, Dublin D02 X285"


@dataclass(frozen=True)
class Purchase:
    """What one order is about; `amount` is in cents."""

    amount: int
    sku: str
    quantity: int
    address: str = ADDRESS


def make_purchases(count: int, *, refused_share: float = 0.0) -> Iterator[Purchase]:
    """Yield `count` purchases, the same at each call; this share of them is of goods that are sold out."""
    rng = random.Random(count)
    for _ in range(count):
        sku = SOLD_OUT if rng.random() < refused_share else rng.choice(SKUS)
        yield Purchase(amount=rng.randint(100, 9900), sku=sku, quantity=rng.randint(1, 3))
