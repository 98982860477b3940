"""Orders of all kinds, and how they must end."""

from __future__ import annotations

from typing import Any

from tests.acceptance.shop import ADDRESS, SOLD_OUT, UNREACHABLE, Shop

ORDERS = 30
FLOWS = ("orchestrated", "choreographed")


def mixed_orders(shop: Shop, count: int = ORDERS) -> list[dict[str, Any]]:
    """Most of them fine, some that are refused at each service; every third is choreographed."""
    other: list[dict[str, Any]] = [
        {"payment_token": "tok_card_declined"}, {"lines": [{"sku": SOLD_OUT, "quantity": 1}]},
        {"address": UNREACHABLE}, {"payment_token": "tok_error_after_charging"}, {"address": ADDRESS},
    ]  # fmt: skip
    return [
        shop.order(flow=FLOWS[n % 3 == 0], **(other[n // 2 % len(other)] if n % 2 else {}))
        for n in range(count)
    ]


def all_end_as_they_should(shop: Shop, orders: list[str], wanted: list[dict[str, Any]]) -> None:
    ends = shop.ends(orders)
    for order, body in zip(orders, wanted, strict=True):
        refused = (
            body["payment_token"] == "tok_card_declined"
            or body["address"] == UNREACHABLE
            or body["lines"] == [{"sku": SOLD_OUT, "quantity": 1}]
        )
        assert ends[order].status == ("cancelled" if refused else "confirmed"), (ends[order], body)
