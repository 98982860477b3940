"""The provider and the carrier take only so many calls a second: no order fails for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.shop import Shop

MANY = 20
LIMIT, OURS = 10, 6
"""Calls a second: a call may reach the other side later than its turn, so ours is below its limit."""
SETTINGS = {"PAYMENT_CALLS_PER_SECOND": f"{OURS}", "SHIPMENT_CALLS_PER_SECOND": f"{OURS}"}


@pytest.fixture
def sandbox(shop: Shop) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shop.stack.sandbox_url, trust_env=False) as client:
        limit = {"per_second": LIMIT, "retry_after": 1}
        client.post("/control/limit", json=limit).raise_for_status()
        yield client
        client.delete("/control/limit").raise_for_status()


def count_refused(sandbox: httpx.Client) -> int:
    stats: dict[str, Any] = sandbox.get("/control/stats").json()
    return int(stats["calls"].get("answered 429", 0))


def test_a_429_lowers_the_pace_by_itself(shop: Shop, sandbox: httpx.Client) -> None:
    before = count_refused(sandbox)
    shop.all_confirmed(shop.place_all([shop.order() for _ in range(MANY)]))
    assert count_refused(sandbox) > before, "the limit was met"
    tries = shop.rows("payment", "SELECT lowered_to FROM messaging_callpace WHERE lowered_to IS NOT NULL")
    assert tries


def test_with_a_limit_of_ours_the_other_side_refuses_nothing(shop: Shop, sandbox: httpx.Client) -> None:
    for service in ("payment", "shipment"):
        shop.rows(service, "DELETE FROM messaging_callpace RETURNING id")
    with shop.restarted_with(SETTINGS, "payment-worker", "shipment-worker"):
        before = count_refused(sandbox)
        shop.all_confirmed(shop.place_all([shop.order() for _ in range(MANY)]))
        assert count_refused(sandbox) == before
