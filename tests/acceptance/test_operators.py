"""A human and a saga that cannot end by itself: it is parked for real, looked at, and brought to its end over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from celery_config.common.timeouts import Timeouts
from tests.acceptance.conftest import TIME_SCALE
from tests.acceptance.shop import Shop, until
from tests.acceptance.wire import Letter

# Longer ago than a stop, or what follows the pivot, is driven.
LONG_AGO = timedelta(seconds=2 * Timeouts(scale=float(TIME_SCALE)).compensation_timeout)
WHY = "their support answered"


class Door:
    """The operators' door, through which an operator goes with a token."""

    def __init__(self, shop: Shop) -> None:
        self.http = shop.shopper.http

    def get(self, path: str) -> Any:
        return self.http.get(f"/api/sagas/{path}").raise_for_status().json()

    def ask(self, saga: str, verb: str, **fields: Any) -> Any:
        """Do it."""
        answer = self.http.post(f"/api/sagas/{saga}/{verb}/", json={"why": WHY, **fields})
        assert answer.is_success, answer.text
        return answer.json()


@pytest.fixture
def door(shop: Shop) -> Door:
    return Door(shop)


class Faults:
    """Failures of provider and carrier: every call to a path from now on, until they are mended."""

    def __init__(self, shop: Shop) -> None:
        self.url = f"{shop.stack.sandbox_url}/control/faults"

    def plan(self, path: str, kind: str = "error_500") -> None:
        fault = {"path": path, "kind": kind, "count": 1_000_000}
        httpx.post(self.url, json=fault, trust_env=False).raise_for_status()

    def mend(self) -> None:
        httpx.delete(self.url, trust_env=False).raise_for_status()


@pytest.fixture
def faults(shop: Shop) -> Iterator[Faults]:
    faults = Faults(shop)
    yield faults
    faults.mend()


def park(shop: Shop, saga: str) -> None:
    """It has been driven for a day; the watchdog parks it when it looks again."""
    older = "UPDATE saga_sagainstance SET since = since - %s, due_at = now() - %s WHERE id = %s RETURNING id"
    assert shop.rows("order", older, LONG_AGO, timedelta(days=1), saga)
    status = "SELECT 1 FROM saga_sagainstance WHERE id = %s AND status = 'parked'"
    until(lambda: shop.rows("order", status, saga), "it is parked")


def failed(shop: Shop, saga: str, step: str) -> bool:
    """Whether the step's participant gave up."""
    query = "SELECT 1 FROM saga_sagastep WHERE saga_id = %s AND name = %s AND failure IS NOT NULL"
    return bool(shop.rows("order", query, saga, step))


def is_booking(letter: Letter) -> bool:
    return letter.task == "shipment.book_shipment"


def park_unvoided(shop: Shop, faults: Faults, kind: str) -> tuple[str, str]:
    """An order, and its saga: cancelled after its money was held, parked because each void fails by `kind`."""
    with shop.wire.held_back("shipment", is_booking) as held:
        order = shop.place()
        saga = shop.saga(order)["id"]
        until(lambda: held.of(saga), "the money is held")
        (payment,) = shop.rows("payment", 'SELECT provider_id FROM payment_payment WHERE "order" = %s', order)
        faults.plan(f"/provider/authorizations/{payment['provider_id']}/void", kind)
        shop.shopper.http.post(f"/api/orders/{order}/cancel/").raise_for_status()
        until(lambda: failed(shop, saga, "authorize-payment"), "payment gave up its void")
    shop.wire.send(*held.letters)
    park(shop, saga)
    return order, saga


def assert_compensated(shop: Shop, order: str) -> None:
    assert shop.ends([order])[order].status == "cancelled"
    assert shop.saga(order)["status"] == "compensated"
    assert shop.facts("payment", order)["state"] == "voided"


class TestParked:
    def test_is_shown_with_its_effect_and_retried_once_the_provider_is_back(
        self, shop: Shop, door: Door, faults: Faults
    ) -> None:
        """Rule 25."""
        order, saga = park_unvoided(shop, faults, "error_500")
        (group,) = door.get("parked/")["groups"]
        assert group["fingerprint"].startswith(
            "the payment provider answered 500 when asked to void the payment"
        )
        assert (group["count"], group["owners"]) == (1, ["operations"])
        (effect,) = door.get(f"{saga}/effects/")["effects"]
        placed = shop.shopper.detail(order)
        assert (effect["step"], effect["holder"], effect["doubtful"]) == (
            "authorize-payment",
            "payment",
            True,
        )
        assert (effect["amount"], effect["currency"]) == (placed["total"], placed["currency"])
        assert datetime.fromisoformat(effect["expires_at"]) > datetime.now(UTC) + timedelta(days=1)
        assert door.ask(saga, "take-over")["effect"].startswith("owner operations to ")
        told = door.get(f"{saga}/retry/")
        assert (told["refused"], told["before"], told["after"]) == ("", "parked", "stopping")
        assert told["sends"][0] == "fence capture-payment"
        assert told["barriers"]["payment"]["authorize-payment"]["undo"] == "intent"
        faults.mend()
        door.ask(saga, "retry")
        assert_compensated(shop, order)
        assert door.get("parked/")["groups"] == []

    def test_is_settled_by_hand_while_the_provider_still_gives_no_answer(
        self, shop: Shop, door: Door, faults: Faults
    ) -> None:
        faults.plan("/webhooks/provider", "lose")
        # The money is let go, and neither an answer nor an event says so: only their support can.
        order, saga = park_unvoided(shop, faults, "error_after")
        door.ask(saga, "settle", step="authorize-payment", operation="undo", answer={})
        assert door.get(f"{saga}/effects/")["effects"] == []
        door.ask(saga, "retry")
        assert_compensated(shop, order)
        trail = "SELECT verb, why FROM saga_operatoraction WHERE saga_id = %s ORDER BY id"
        done = [(row["verb"], row["why"]) for row in shop.rows("order", trail, saga)]
        assert done == [("settle by hand", WHY), ("retry", WHY)]

    def test_past_its_pivot_goes_on_forward(self, shop: Shop, door: Door, faults: Faults) -> None:
        faults.plan("/carrier/shipments/")  # what is booked there cannot be dispatched
        order = shop.place()
        saga = shop.saga(order)["id"]
        until(lambda: failed(shop, saga, "dispatch-shipment"), "shipment gave up")
        park(shop, saga)
        live = {effect["step"] for effect in door.get(f"{saga}/effects/")["effects"]}
        assert {"capture-payment", "dispatch-shipment"} <= live
        refused = door.http.post(f"/api/sagas/{saga}/settle/", json={
            "why": WHY, "step": "capture-payment", "operation": "do", "answer": {},
        })  # fmt: skip
        assert refused.is_error, "the pivot is done: nothing of it is in doubt"
        faults.mend()
        assert door.get(f"{saga}/resume/")["after"] == "forward"
        door.ask(saga, "resume")
        shop.all_confirmed([order])
        assert shop.saga(order)["status"] == "completed"


class TestPause:
    def test_holds_up_new_orders_until_it_ends(self, shop: Shop, door: Door) -> None:
        running = shop.place()
        pause = {"saga": "place-order", "why": "stock count"}
        assert door.http.post("/api/sagas/pauses/", json=pause).status_code == 201
        try:
            held_up = shop.shopper.place(shop.order())
            assert (held_up.status_code, held_up.json()["code"]) == (503, "paused")
            assert "stock count" in held_up.json()["detail"]
            shop.all_confirmed([running])
        finally:
            door.http.request("DELETE", "/api/sagas/pauses/", json=pause).raise_for_status()
        shop.all_confirmed([shop.place()])
