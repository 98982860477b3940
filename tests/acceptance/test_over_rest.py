"""The flow whose commands go over REST: the same ends, whatever dies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.orders import all_end_as_they_should, mixed_orders
from tests.acceptance.shop import Shop, until

OVER_REST = {"PLACE_ORDER_VERSION": "3"}


@pytest.fixture(autouse=True, scope="module")
def over_rest(open_shop: Shop) -> Iterator[None]:
    with open_shop.restarted_with(OVER_REST, "order-web"):
        yield


def test_orders_end_as_over_the_broker(shop: Shop) -> None:
    wanted = mixed_orders(shop)
    orders = shop.place_all(wanted)
    all_end_as_they_should(shop, orders, wanted)
    sagas = [saga for order in orders if (saga := shop.shopper.detail(order)["saga"])]
    assert {saga["version"] for saga in sagas} == {3}


@pytest.mark.parametrize("name", ["payment-web", "inventory-web", "shipment-web", "order-worker"])
def test_kill_nine_of_whoever_calls_or_is_called(shop: Shop, name: str) -> None:
    wanted = mixed_orders(shop)
    service = name.partition("-")[0]
    table = "saga_sagainstance" if service == "order" else "messaging_barrierrow"
    with shop.paused("order-relay"):
        orders = shop.place_all(wanted)
    with shop.locked(service, table, "SHARE"):
        until(lambda: shop.blocked(service), f"{name} is in the midst of a command")
        shop.stack.supervisor.kill(name)
        assert shop.in_flight(orders) > 0
    shop.stack.restart(name)
    all_end_as_they_should(shop, orders, wanted)
