"""Money back: in parts, never more than was taken."""

from __future__ import annotations

from typing import Any

from tests.acceptance.shop import Shop, product, until
from tests.acceptance.test_bad_input import assert_problem

MUG, TOTAL = "MUG", 890


def refunds(shop: Shop, order: str) -> list[dict[str, Any]]:
    answer = shop.shopper.http.get(f"/api/orders/{order}/refunds/").raise_for_status()
    return list(answer.json()["results"])


class TestRefunds:
    def test_in_two_parts_and_not_beyond_the_total(self, shop: Shop) -> None:
        shop.stock(product(MUG, TOTAL))
        with shop.paused("order-relay"):
            order = shop.place(lines=[{"sku": MUG, "quantity": 1}])
            url = f"/api/orders/{order}/refunds/"
            part = {"amount": 500, "reason": "a dent"}
            # Not before the money was taken.
            assert_problem(shop.shopper.http.post(url, json=part), 409, "not_refundable")
        shop.all_confirmed([order])

        rest = {"amount": TOTAL - 500, "reason": "the other dent"}
        assert [shop.shopper.http.post(url, json=body).status_code for body in (part, rest)] == [202, 202]
        more = shop.shopper.http.post(url, json={"amount": 1, "reason": "greed"})
        assert_problem(more, 409, "not_refundable")
        assert_problem(shop.shopper.http.post(url, json={"amount": -1, "reason": "x"}), 400, "invalid")

        until(lambda: {r["status"] for r in refunds(shop, order)} == {"paid"}, "both parts are paid back")
        assert sorted(r["amount"] for r in refunds(shop, order)) == [TOTAL - 500, 500]
        facts = shop.facts("payment", order)
        assert (facts["captured"], facts["refunded"]) == (TOTAL, TOTAL)
