"""A provider is held while orders are under way; what waits ends as it would have, though processes are killed."""

from __future__ import annotations

import time
from typing import Any

import httpx

from celery_config.broker.topology import commands_queue, events_queue, urgent_queue
from tests.acceptance.orders import FLOWS
from tests.acceptance.shop import Shop, until

SOME = 12
DEADLINE = 27.0
"""Seconds, at the scale of these tests."""
QUEUES = [queue("payment") for queue in (commands_queue, urgent_queue, events_queue)]


def ask(shop: Shop, path: str, **body: Any) -> Any:
    answer = shop.shopper.http.post(f"/api/{path}", json=body)
    assert answer.is_success, answer.text
    return answer.json()


def place(shop: Shop) -> list[str]:
    return shop.place_all([shop.order(flow=FLOWS[n % 3 == 0]) for n in range(SOME)])


def count_messages(shop: Shop) -> int:
    """How many messages payment has set aside."""
    found = "SELECT count(DISTINCT saga) AS n FROM messaging_outboxmessage WHERE hold IS NOT NULL"
    return int(shop.rows("payment", found)[0]["n"])


def count_flows(shop: Shop) -> int:
    """How many flows the order service knows as held."""
    held = "SELECT count(*) AS n FROM {} WHERE held_since IS NOT NULL"
    tables = ("saga_sagainstance", "order_choreography")
    return sum(int(shop.rows("order", held.format(table))[0]["n"]) for table in tables)


def read_hold(shop: Shop) -> dict[str, Any]:
    return dict(shop.shopper.http.get("/api/holds/").raise_for_status().json()["results"][0])


def read_deadlines(shop: Shop, orders: list[str]) -> dict[str, Any]:
    """The deadline of each saga that has not ended, by order."""
    query = "SELECT subject, deadline_at FROM saga_sagainstance WHERE subject = ANY(%s)"
    return {row["subject"]: row["deadline_at"] for row in shop.rows("order", query, orders)}


def test_what_is_held_ends_as_it_would_have(shop: Shop) -> None:
    with shop.paused("payment-worker"):
        running = place(shop)
        preview = ask(shop, "holds/preview/", provider="payment provider")
        assert preview["would_hold"] == SOME
        ask(shop, "holds/", provider="payment provider", why="it is down")
        began = time.monotonic()
        until(
            lambda: shop.rows("payment", "SELECT 1 FROM messaging_holdlist WHERE content <> '[]'"),
            "payment knows",
        )
    orders = [*running, *place(shop)]
    until(lambda: count_messages(shop) == len(orders), "each order's message is set aside")
    until(lambda: count_flows(shop) == len(orders), "each order is known as held")
    before = read_deadlines(shop, orders)

    # Nothing is held unacknowledged: it would come back to the queues now.
    shop.stack.supervisor.kill("payment-worker")
    until(lambda: not any(map(shop.wire.consumers, QUEUES)), "the worker is gone")
    assert [shop.wire.waiting(queue) for queue in QUEUES] == [0, 0, 0]
    shop.stack.restart("payment-worker")
    assert count_messages(shop) == len(orders)

    ready = httpx.get(f"{shop.stack.url('payment')}/readyz", trust_env=False).json()
    assert "the payment provider is held since" in ready["holds"]
    assert ready["ready"] is True

    cancelled, left = orders[1], [orders[0], *orders[2:]]
    ask(shop, f"orders/{cancelled}/cancel/")
    assert shop.ends([cancelled])[cancelled].status == "cancelled"

    until(lambda: time.monotonic() - began > 1.2 * DEADLINE, "their deadline is over")
    assert shop.in_flight(left) == len(left)

    hold = read_hold(shop)
    assert hold["held"] == len(left)
    ask(shop, f"holds/{hold['id']}/let-go/", per_second=3, why="it is up")
    until(lambda: 0 < count_flows(shop) < len(left), "some are let go")
    shop.stack.supervisor.kill("order-relay")
    shop.stack.restart("order-relay")
    shop.all_confirmed(left)
    until(lambda: read_hold(shop)["ended_at"], "the hold has ended")
    assert count_messages(shop) == 0
    after = read_deadlines(shop, left)
    moved = [(after[order] - before[order]).total_seconds() for order in after]
    waited = time.monotonic() - began
    assert all(DEADLINE * 0.7 < seconds <= waited for seconds in moved), moved
