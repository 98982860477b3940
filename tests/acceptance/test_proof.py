"""Standing proof on the real thing: what does not fit is found soon after an order's end, and told on the board."""

from __future__ import annotations

import psycopg

from celery_config.sandbox.fates import UNHURRIED
from tests.acceptance.shop import Shop, until

BROKEN = 'SELECT what FROM proof_brokenpromise WHERE "order" = %s'
WITHIN_SECONDS = 60.0


def change(shop: Shop, statement: str, order: str) -> None:
    """Change a row of payment behind its back."""
    assert shop.stack.postgres is not None
    with psycopg.connect(shop.stack.postgres.superuser_url("payment")) as connection:
        assert connection.execute(statement, [order]).rowcount == 1


def test_orders_are_proved_and_none_is_broken(shop: Shop) -> None:
    orders = shop.place_all([shop.order(flow=flow) for flow in ("orchestrated", "choreographed")])
    shop.all_confirmed(orders)
    (last,) = shop.rows("order", "SELECT max(ended_at) AS at FROM order_order")

    def is_proved() -> bool:
        seen = shop.rows("order", "SELECT content, at FROM messaging_observation WHERE name = 'proof'")
        return bool(seen) and seen[0]["at"] > last["at"] and seen[0]["content"]["late_seconds"] == 0

    until(is_proved, "all orders that ended are proved", patience=WITHIN_SECONDS)
    assert [shop.rows("order", BROKEN, order) for order in orders] == [[], []]


def test_what_does_not_fit_is_found_within_a_minute(shop: Shop) -> None:
    order = shop.place_all([UNHURRIED.give_to(shop.order())])[0]
    saga = shop.saga(order)["id"]
    until(lambda: shop.barrier("payment", saga), "its first step is done")
    with shop.paused("order-relay"):
        shop.all_confirmed([order])
        change(shop, 'UPDATE payment_payment SET captured = captured - 1 WHERE "order" = %s', order)
    try:
        found = until(lambda: shop.rows("order", BROKEN, order), "it is found", patience=WITHIN_SECONDS)
        assert any(row["what"].startswith("completed, yet its payment is captured with") for row in found)
    finally:
        change(shop, 'UPDATE payment_payment SET captured = captured + 1 WHERE "order" = %s', order)
    told = "SELECT 1 FROM notifications_incident WHERE kind = 'promise'"
    until(lambda: shop.rows("order", told), "it is told")
    shop.rows("order", "UPDATE proof_brokenpromise SET dealt_with_at = now() RETURNING id")
