"""Products, opening stock, adjustments."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from celery_config.messaging.models import OutboxMessage
from inventory_app import services
from inventory_app.errors import AdjustmentConflict, RepeatedProduct, StockBelowReserved, UnknownProduct
from inventory_app.models import Movement, Price, Product, Stock
from inventory_app.selectors import read_prices
from inventory_app.services import OpeningResult, PutResult
from tests.service.together import postgresql


def announced() -> list[tuple[str, int, int]]:
    events = OutboxMessage.objects.filter(name="inventory.product_changed").order_by("id")
    data = [event["data"] for event in events.values_list("payload", flat=True)]
    return [(d["sku"], d["version"], d["price"]) for d in data]


def test_products_are_created_changed_or_left_alone(shop: Any) -> None:
    assert services.put_products(products=[shop.product("B"), shop.product("A")], by="ada") == PutResult(
        2, 0, 0
    )
    again = [shop.product("A", price=300), shop.product("B"), shop.product("C")]
    assert services.put_products(products=again, by="ada") == PutResult(1, 1, 1)
    assert announced() == [("A", 1, 250), ("B", 1, 250), ("C", 1, 250), ("A", 2, 300)]
    assert Stock.objects.count() == 3


def test_products_that_are_there_stay_as_they_are_with_only_new(shop: Any) -> None:
    services.put_products(products=[shop.product("A")], by="ada")
    wanted = [shop.product("A", price=300), shop.product("B")]
    put = services.put_products(products=wanted, opening={"A": 7, "B": 8}, only_new=True, by="ada")
    assert put == PutResult(1, 0, 1)
    assert announced() == [("A", 1, 250), ("B", 1, 250)]
    assert list(Stock.objects.order_by("pk").values_list("opening", "on_hand")) == [(None, 0), (8, 8)]


def test_an_event_is_the_full_state(shop: Any) -> None:
    services.put_products(products=[shop.product("A", active=False, weight_grams=7)], by="ada")
    event = OutboxMessage.objects.get().payload
    assert event["type"] == "inventory.product_changed"
    assert event["subject"] == "A"
    assert event["data"] == {
        "sku": "A", "name": "Product A", "price": 250, "currency": "GBP", "weight_grams": 7, "active": False,
        "version": 1,
    }  # fmt: skip


@postgresql  # SQLite bears 999 values a statement
def test_a_thousand_products_cost_a_handful_of_statements(
    shop: Any, django_assert_max_num_queries: Any
) -> None:
    products = [shop.product(f"S{n:04d}") for n in range(1000)]
    with django_assert_max_num_queries(8):
        services.put_products(products=products, by="ada")
    with django_assert_max_num_queries(8):
        services.set_opening_stock(quantities={product.sku: 3 for product in products}, by="ada")
    assert Product.objects.filter(version=1).count() == 1000


def test_a_product_named_twice_changes_nothing(shop: Any) -> None:
    with pytest.raises(RepeatedProduct):
        services.put_products(products=[shop.product("A"), shop.product("A", price=1)], by="ada")
    assert not Product.objects.exists()


def test_opening_stock_is_booked_once(shop: Any) -> None:
    services.put_products(products=[shop.product("A"), shop.product("B")], by="ada")
    assert services.set_opening_stock(quantities={"A": 5}, by="ada") == OpeningResult(1, 0)
    assert services.set_opening_stock(quantities={"A": 7, "B": 0}, by="ada") == OpeningResult(1, 1)
    assert shop.levels() == {"A": (5, 0), "B": (0, 0)}
    assert shop.faults() == []


def test_opening_stock_of_an_unknown_product_books_nothing(shop: Any) -> None:
    services.put_products(products=[shop.product("A")], by="ada")
    with pytest.raises(UnknownProduct, match="NONE"):
        services.set_opening_stock(quantities={"A": 5, "NONE": 1}, by="ada")
    assert shop.levels() == {"A": (0, 0)}


def test_opening_stock_adds_to_what_was_counted_before(shop: Any) -> None:
    services.put_products(products=[shop.product("A")], by="ada")
    services.adjust_stock(adjustment=uuid4(), sku="A", quantity=2, reason="found", by="ada")
    services.set_opening_stock(quantities={"A": 5}, by="ada")
    assert shop.levels() == {"A": (7, 0)}
    assert shop.faults() == []


def test_an_adjustment_is_made_once(shop: Any) -> None:
    shop.stock(A=5)
    adjustment = uuid4()
    for _ in range(2):
        movement = services.adjust_stock(
            adjustment=adjustment, sku="A", quantity=-2, reason="broken", by="ada"
        )
        assert (movement.on_hand, movement.quantity) == (3, -2)
    assert shop.levels() == {"A": (3, 0)}
    with pytest.raises(AdjustmentConflict):
        services.adjust_stock(adjustment=adjustment, sku="A", quantity=-1, reason="broken", by="ada")
    assert Movement.objects.filter(kind="adjust").count() == 1
    assert shop.faults() == []


def test_an_adjustment_leaves_what_orders_hold(shop: Any, participant: Any) -> None:
    shop.stock(A=5)
    participant.do(shop.reserve(A=3))
    with pytest.raises(StockBelowReserved):
        services.adjust_stock(adjustment=uuid4(), sku="A", quantity=-3, reason="theft", by="ada")
    with pytest.raises(UnknownProduct):
        services.adjust_stock(adjustment=uuid4(), sku="NONE", quantity=1, reason="found", by="ada")
    assert shop.levels() == {"A": (5, 3)}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"on_hand": 4}, "on hand is not"),
        ({"reserved": 1}, "reserved is not"),
        ({"on_hand": 6}, "movements"),
    ],
)
def test_the_audit_sees_stock_that_does_not_add_up(shop: Any, change: dict[str, int], fault: str) -> None:
    shop.stock(A=5, B=5)
    Stock.objects.filter(pk="A").update(**change)
    found = [text for text in shop.faults() if fault in text]
    assert found
    assert found[0].startswith("stock of 1 products")
    assert found[0].endswith(": A")


def test_the_audit_is_told_every_price_that_a_product_has_had(shop: Any) -> None:
    """However it was set, and also after the product is gone."""
    for price in (250, 300, 250, 400):
        services.put_products(products=[shop.product("A", price=price, name=str(price))], by="ada")
    Product.objects.filter(pk="A").update(price=7, name="x")
    Product.objects.filter(pk="A").update(name="y")
    Product.objects.create(sku="B", name="b", price=1, currency="GBP", weight_grams=1)
    Product.objects.filter(pk="B").delete()
    found = read_prices({"A", "B", "C"})
    assert {sku: known["amounts"] for sku, known in found.items()} == {"A": [250, 300, 400, 7], "B": [1]}
    assert found["A"]["since"] == Price.objects.earliest("id").at.isoformat()
    assert Price.objects.count() == 6
