"""Every refusal of every step ends compensated, with its reason; in both versions of the flow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from celery_config.common.timeouts import Timeouts
from tests.acceptance.conftest import TIME_SCALE
from tests.acceptance.shop import ANVIL, SOLD_OUT, TOO_HEAVY, UNREACHABLE, Shop, product, until
from tests.acceptance.wire import Letter

# The step that refuses, and the code; each with the order that makes it happen.
REFUSALS: dict[tuple[str, str], dict[str, Any]] = {
    ("authorize-payment", "card_declined"): {"payment_token": "tok_card_declined"},
    ("authorize-payment", "insufficient_funds"): {"payment_token": "tok_insufficient_funds"},
    ("authorize-payment", "invalid_token"): {"payment_token": "tok_nobody_knows"},
    ("reserve-stock", "out_of_stock"): {"lines": [{"sku": SOLD_OUT, "quantity": 1}]},
    ("reserve-stock", "inactive_product"): {"lines": [{"sku": "RETIRED", "quantity": 1}]},
    ("book-shipment", "address_unreachable"): {"address": UNREACHABLE},
    ("book-shipment", "parcel_too_heavy"): {"lines": [{"sku": ANVIL, "quantity": TOO_HEAVY}]},
    ("capture-payment", "already_voided"): {},
}
TRIES = len(Timeouts(scale=float(TIME_SCALE)).retry_delays) + 1


@pytest.fixture(scope="module")
def goods(open_shop: Shop) -> None:
    """Goods whose orders are accepted and then refused."""
    open_shop.stock(product("RETIRED"))


@contextmanager
def retired_unheard_of(shop: Shop) -> Iterator[None]:
    """A product is taken out of sale, and the order service does not hear of it meanwhile."""
    on_sale = "SELECT active FROM order_catalogueproduct WHERE sku = 'RETIRED'"
    shop.stock(product("RETIRED"))
    until(lambda: shop.rows("order", on_sale)[0]["active"], "it is on sale")
    with shop.paused("inventory-relay"):
        shop.shopper.stock_shelves([{**product("RETIRED"), "active": False}], 1)
        yield


def is_capture(letter: Letter) -> bool:
    return letter.task == "payment.capture_payment"


def void_at_the_provider(shop: Shop, order: str) -> None:
    """Let the held money go behind our back."""
    (payment,) = shop.rows("payment", 'SELECT provider_id FROM payment_payment WHERE "order" = %s', order)
    httpx.post(
        f"{shop.stack.sandbox_url}/provider/authorizations/{payment['provider_id']}/void",
        json={},
        headers={"Idempotency-Key": str(uuid4())},
        trust_env=False,
    ).raise_for_status()


def place_one_of_each(shop: Shop) -> dict[tuple[str, str], str]:
    """An order for each refusal, and a fine one."""
    bodies = {**REFUSALS, ("", ""): {}}
    with shop.wire.held_back("payment", is_capture) as held:
        with retired_unheard_of(shop):
            orders = shop.place_all([shop.order(**fields) for fields in bodies.values()])
        placed = dict(zip(bodies, orders, strict=True))
        voided = placed["capture-payment", "already_voided"]
        sagas = [shop.saga(order)["id"] for order in (voided, placed["", ""])]
        until(lambda: all(map(held.of, sagas)), "the captures are on their way")
        void_at_the_provider(shop, voided)
    shop.wire.send(*held.letters)
    return placed


def assert_ends(shop: Shop, placed: dict[tuple[str, str], str], version: int) -> None:
    ends = shop.ends(list(placed.values()))
    for (step, code), order in placed.items():
        detail = shop.shopper.detail(order)
        assert detail["saga"]["version"] == version
        if not step:
            assert detail["status"] == "confirmed"
            assert detail["tracking_number"]
            continue
        assert (ends[order].status, ends[order].code) == ("cancelled", code), detail
        assert detail["cancel_reason"]
        assert detail["saga"]["status"] == "compensated"
        assert (detail["saga"]["cause"]["step"], detail["saga"]["cause"]["code"]) == (step, code)


def is_booking(letter: Letter) -> bool:
    return letter.task == "shipment.book_shipment"


@pytest.mark.usefixtures("goods")
class TestEveryRefusal:
    def test_ends_compensated(self, shop: Shop) -> None:
        assert_ends(shop, place_one_of_each(shop), 1)

    def test_ends_compensated_in_version_2_while_orders_of_version_1_run_on(self, shop: Shop) -> None:
        with ExitStack() as setting:
            with shop.wire.held_back("shipment", is_booking) as held:
                running = shop.place_all([shop.order()] * 5)
                refused = shop.place(address=UNREACHABLE)
                sagas = {order: shop.saga(order) for order in (*running, refused)}
                until(lambda: all(held.of(saga["id"]) for saga in sagas.values()), "six orders are half way")
                setting.enter_context(shop.restarted_with({"PLACE_ORDER_VERSION": "2"}, "order-web"))
                assert shop.in_flight(list(sagas)) == len(sagas)
            shop.wire.send(*held.letters)
            assert_ends(shop, place_one_of_each(shop), 2)
            shop.all_confirmed(running)
            assert shop.ends([refused])[refused].code == "address_unreachable"
            for order, before in sagas.items():
                after = shop.saga(order)
                assert after["version"] == before["version"] == 1
                assert names_of(after) == names_of(before)
            newest = shop.place()
            assert names_of(shop.saga(newest))[:2] == ["reserve-stock", "authorize-payment"]
            shop.all_confirmed([newest])


class TestAnOutcomeThatNobodyKnows:
    def test_is_found_out_and_undone(self, shop: Shop) -> None:
        # The money is held, and the provider says each time that something went wrong; its webhook is lost.
        for fault in (
            {"path": "/webhooks/provider", "kind": "lose", "count": 1},
            {"path": "/provider/authorizations", "kind": "error_after", "count": TRIES},
        ):
            faults = f"{shop.stack.sandbox_url}/control/faults"
            httpx.post(faults, json=fault, trust_env=False).raise_for_status()
        order = shop.place()
        end = shop.ends([order])[order]
        assert (end.status, end.code) == ("cancelled", "unknown_outcome")
        assert shop.saga(order)["cause"]["step"] == "authorize-payment"
        assert shop.barrier("payment", shop.saga(order)["id"])["authorize-payment"] == ("done", "done")
        assert shop.facts("payment", order)["state"] == "voided"


def names_of(saga: dict[str, Any]) -> list[str]:
    return [step["name"] for step in saga["steps"]]
