"""What is ordered in the comparison, the same for every side, and the tables it leaves rows in."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

SKUS = [f"SKU-{number:03}" for number in range(200)]
SOLD_OUT = "SOLD-OUT"
ADDRESS = "1 Harbour Street, Dublin D02 X285"
TABLES = {
    "order": (
        "CREATE TABLE three_order (id uuid PRIMARY KEY, amount integer NOT NULL, status text NOT NULL DEFAULT 'placed',"
        " created_at timestamptz NOT NULL DEFAULT clock_timestamp(), ended_at timestamptz)",
    ),
    "payment": (
        "CREATE TABLE three_payment (id uuid PRIMARY KEY, order_id uuid NOT NULL UNIQUE, amount integer NOT NULL,"
        " status text NOT NULL DEFAULT 'taken')",
    ),
    "inventory": (
        "CREATE TABLE three_stock (sku text PRIMARY KEY, available integer NOT NULL CHECK (available >= 0))",
        "INSERT INTO three_stock SELECT 'SKU-' || lpad(n::text, 3, '0'), 1000000000"
        f" FROM generate_series(0, {len(SKUS) - 1}) n",
        f"INSERT INTO three_stock VALUES ('{SOLD_OUT}', 0)",
        "CREATE TABLE three_taken (order_id uuid PRIMARY KEY, sku text NOT NULL, quantity integer NOT NULL)",
    ),
    "shipment": (
        "CREATE TABLE three_shipment (id uuid PRIMARY KEY, order_id uuid NOT NULL UNIQUE, address text NOT NULL,"
        " status text NOT NULL DEFAULT 'sent')",
    ),
}


@dataclass(frozen=True)
class Wanted:
    """One order; `amount` in cents."""

    amount: int
    sku: str
    quantity: int
    address: str = ADDRESS


def orders(count: int, *, refused_share: float = 0.0) -> Iterator[Wanted]:
    """The same `count` orders for everybody who asks; a share of them wants what is sold out."""
    rng = random.Random(count)
    for _ in range(count):
        sku = SOLD_OUT if rng.random() < refused_share else rng.choice(SKUS)
        yield Wanted(amount=rng.randint(100, 9900), sku=sku, quantity=rng.randint(1, 3))
