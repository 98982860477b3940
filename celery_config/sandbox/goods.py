"""The goods of `demo`, `up` and the order desk: a small shop, so that there is something to order. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CURRENCY = "EUR"
OPENING_STOCK = 1000


@dataclass(frozen=True)
class Good:
    """A product; its price is in minor units."""

    sku: str
    name: str
    price: int
    weight_grams: int
    stock: int = OPENING_STOCK

    def make_product(self) -> dict[str, Any]:
        """Return it as inventory's API takes a new product."""
        return {
            "sku": self.sku, "name": self.name, "price": self.price, "currency": CURRENCY,
            "weight_grams": self.weight_grams, "active": True, "opening_stock": self.stock,
        }  # fmt: skip


GOODS = (
    Good("TEA-ASSAM", "Assam tea, 250 g", 890, 280),
    Good("TEA-SENCHA", "Sencha tea, 100 g", 1290, 130),
    Good("POT-CAST", "Cast-iron teapot", 6900, 1900),
    Good("CUP-BLUE", "Blue cup", 1450, 310),
    Good("KETTLE", "Water kettle", 4990, 1200),
    Good("STRAINER", "Tea strainer", 750, 60),
    Good("HONEY", "Forest honey, 500 g", 950, 720),
    Good("TRAY", "Oak tray", 3900, 1500),
)
SOLD_OUT = Good("GOLD-POT", "Golden teapot, one left", 99900, 2100, stock=1)
"""There is one of it: an order of two is refused."""
DELIVERY = {"products": [good.make_product() for good in (*GOODS, SOLD_OUT)], "only_new": True}
"""What POST /api/products/ of inventory takes to put all of it on the shelves, once."""
ADDRESS = {
    "name": "Ada Example",
    "line1": "1 Harbour Street",
    "city": "Dublin",
    "postal_code": "D02 X285",
    "country": "IE",
}
