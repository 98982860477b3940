"""Real messages, sent once more after all that is remembered of their orders was deleted, have no effect.

The code of a message never expires. What protects then is the time in the id of a saga, and that the orchestrator knows
which sagas are open.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from celery_config.broker.topology import Topology
from celery_config.common.services import PARTICIPANTS, SERVICES, SUBSCRIPTIONS
from compose.local.environment import without_servers
from compose.local.stack import Stack
from tests.acceptance.conftest import TIME_SCALE
from tests.acceptance.shop import KETTLE, TEA, Shop, until
from tests.acceptance.wire import Letter

KEPT_SECONDS = 45
"""Longer than any order of this test takes; a tenth is added before a row is deleted."""
DAYS = str(KEPT_SECONDS / 86_400)
QUEUES = [queue for service in SERVICES for queue in Topology.load(SUBSCRIPTIONS).worker_queues(service)]
REMEMBERED = (
    "SELECT (SELECT count(*) FROM messaging_barrierrow) + (SELECT count(*) FROM messaging_inboxentry) AS n"
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop that forgets fast; no other test could be audited in it."""
    settings = {"SAGA_TIME_SCALE": TIME_SCALE, "SAGA_RETENTION_DAYS": DAYS, "EVENT_RETENTION_DAYS": DAYS}
    stack = Stack(
        "servers",
        var=tmp_path_factory.mktemp("forgetful"),
        settings=settings,
        environ=without_servers(os.environ),
    )
    try:
        stack.start()
        shop = Shop(stack)
        yield shop
        shop.close()
    finally:
        stack.stop()
        stack.delete_data()


def read_effects(shop: Shop, orders: list[str]) -> dict[str, Any]:
    """What there is of the orders: at the provider, at the carrier, in the four services."""
    effects: dict[str, Any] = {}
    for order in orders:
        for book in ("provider/authorizations", "carrier/shipments"):
            url = f"{shop.stack.sandbox_url}/{book}?reference={order}"
            effects[f"{order} {book}"] = httpx.get(url, trust_env=False).raise_for_status().json()["items"]
        effects[order] = [shop.shopper.detail(order)["status"]]
        effects[order] += [shop.facts(service, order) for service in PARTICIPANTS]
    return effects


def read_stock(shop: Shop) -> dict[str, int]:
    """What is on hand and not held for an order, by product."""
    rows = shop.rows("inventory", "SELECT product_id, on_hand - reserved AS free FROM inventory_stock")
    return {row["product_id"]: row["free"] for row in rows}


def test_what_is_sent_again_after_it_was_forgotten_has_no_effect(shop: Shop) -> None:
    kinds: list[dict[str, Any]] = [
        {"flow": flow, "payment_token": token}
        for flow in ("orchestrated", "choreographed")
        for token in ("tok_approved", "tok_card_declined")
    ]
    copied: list[Letter]
    with shop.wire.copies() as copied:
        orders = [shop.place(**kind) for kind in kinds]
        ends = shop.ends(orders)
    assert [ends[order].status for order in orders] == ["confirmed", "cancelled"] * 2
    for service in PARTICIPANTS:
        until(
            lambda s=service: shop.rows(s, REMEMBERED)[0]["n"] == 0,  # type: ignore[misc]
            f"{service} has forgotten them",
            patience=4 * KEPT_SECONDS,
        )
    before, stock, letters = read_effects(shop, orders), read_stock(shop), len(shop.dead_letters())
    commands = [letter for letter in copied if letter.task.partition(".")[0] in PARTICIPANTS]
    assert len(commands) >= 6

    shop.wire.send(*copied, *reversed(copied))
    until(lambda: not any(map(shop.wire.waiting, QUEUES)), "all were taken")
    shop.all_confirmed([shop.place(), shop.place(flow="choreographed")])

    assert read_effects(shop, orders) == before
    # Only the two new orders took something.
    taken = {sku: stock[sku] - free for sku, free in read_stock(shop).items() if stock[sku] != free}
    assert taken == {TEA: 2, KETTLE: 4}

    def count_refused() -> Counter[str]:
        return Counter(row["task"] for row in shop.dead_letters()[letters:])

    sent = Counter(letter.task for letter in commands)
    until(lambda: all(count_refused()[task] == 2 * n for task, n in sent.items()), "every command is refused")
