"""What the shop of a fuzz run sells, and an order of it."""

from __future__ import annotations

from typing import Any

GOODS = [
    {
        "sku": sku,
        "name": f"Product {sku}",
        "price": price,
        "currency": "EUR",
        "weight_grams": 300,
        "active": True,
    }
    for sku, price in (("TEA", 890), ("KETTLE", 4990), ("MUG", 1250))
]
ORDER: dict[str, Any] = {
    "lines": [{"sku": "TEA", "quantity": 2}],
    "currency": "EUR",
    "payment_token": "tok_approved",
    "address": {
        "name": "Ada Example",
        "line1": "1 Harbour Street",
        "city": "Dublin",
        "postal_code": "D02 X285",
        "country": "IE",
    },
}
