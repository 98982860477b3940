"""Many at once: nothing is oversold, nobody waits in a circle, versions have no gap."""

from __future__ import annotations

import functools
import random
from collections import Counter
from typing import Any
from uuid import uuid4

from celery_config.contracts.inventory import CommitStock, Line, ReleaseStock, ReserveStock
from celery_config.errors import Refused
from celery_config.messaging.models import OutboxMessage
from inventory_app import domain, services
from inventory_app.models import Movement, Product
from tests.service.together import postgresql, together

pytestmark = postgresql


def test_twenty_buyers_of_seven_pieces(shop: Any, participant: Any) -> None:
    shop.stock(A=7)
    results = together(*(functools.partial(participant.do, shop.reserve(A=1)) for _ in range(20)))
    refused = [result for result in results if isinstance(result, Refused)]
    assert {refusal.code for refusal in refused} == {"out_of_stock"}
    assert len(refused) == 13
    assert shop.levels() == {"A": (7, 7)}
    assert shop.faults() == []


def test_twins_of_one_command_hold_once(shop: Any, participant: Any) -> None:
    shop.stock(A=9)
    command, saga = shop.reserve(A=2), uuid4()
    results = together(*(functools.partial(participant.do, command, saga=saga) for _ in range(8)))
    assert results == [{"reservation": str(domain.reservation_id(command.order))}] * 8
    assert shop.levels() == {"A": (9, 2)}


def test_orders_with_lines_in_any_order_never_deadlock(shop: Any, participant: Any) -> None:
    skus = [f"S{n:02d}" for n in range(12)]
    shop.stock(**dict.fromkeys(skus, 10_000))
    chance = random.Random(7)

    def orders(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(10):
            order, saga = uuid4(), uuid4()
            lines = tuple(Line(sku=sku, quantity=1) for sku in chance.sample(skus, len(skus)))
            participant.do(ReserveStock(order=order, lines=lines), saga=saga)
            if chance.random() < 0.5:
                participant.undo(ReleaseStock(order=order), saga=saga)
            else:
                reservation = domain.reservation_id(order)
                participant.do(CommitStock(order=order, reservation=reservation), saga=saga, step="commit")

    results = together(*(functools.partial(orders, chance.random()) for _ in range(16)))
    assert results == [None] * 16
    assert Movement.objects.filter(kind="reserve").count() == 16 * 10 * len(skus)
    assert {reserved for _, reserved in shop.levels().values()} == {0}
    assert shop.faults() == []


def test_changes_of_the_catalogue_do_not_deadlock_with_orders(shop: Any, participant: Any) -> None:
    skus = [f"S{n:02d}" for n in range(10)]
    shop.stock(**dict.fromkeys(skus, 10_000))

    def order(seed: int) -> None:
        for _ in range(10):
            participant.do(shop.reserve(**dict.fromkeys(random.Random(seed).sample(skus, 10), 1)))

    def reprice(price: int) -> None:
        for n in range(10):
            products = [shop.product(sku, price=price + n) for sku in skus]
            random.Random(price).shuffle(products)
            services.put_products(products=products, by="ada")

    calls = [functools.partial(order, n) for n in range(6)] + [
        functools.partial(reprice, n) for n in range(6)
    ]
    assert together(*calls) == [None] * 12
    assert shop.faults() == []


def test_versions_are_gapless_and_each_has_its_event(shop: Any) -> None:
    skus = ["A", "B", "C"]

    def reprice(thread: int) -> None:
        chance = random.Random(thread)
        for n in range(5):
            chosen = chance.sample(skus, 2)
            services.put_products(
                products=[shop.product(sku, price=1000 * thread + n) for sku in chosen], by="ada"
            )

    assert together(*(functools.partial(reprice, n) for n in range(1, 9))) == [None] * 8
    announced: dict[str, list[Any]] = {sku: [] for sku in skus}
    for event in OutboxMessage.objects.filter(name="inventory.product_changed").values_list(
        "payload", flat=True
    ):
        announced[event["subject"]].append(event["data"])
    for product in Product.objects.all():
        versions = sorted(data["version"] for data in announced[product.sku])
        assert versions == list(range(1, product.version + 1))
        (last,) = (data for data in announced[product.sku] if data["version"] == product.version)
        assert last["price"] == product.price
    assert len({event["id"] for event in OutboxMessage.objects.values_list("payload", flat=True)}) == sum(
        map(len, announced.values())
    )


def test_opening_stock_is_booked_once_by_whoever_comes_first(shop: Any) -> None:
    quantities = {f"S{n:02d}": 5 for n in range(30)}
    services.put_products(products=[shop.product(sku) for sku in quantities], by="ada")
    book = functools.partial(services.set_opening_stock, quantities=quantities, by="ada")
    opened = together(*[book] * 8)
    assert Counter(o.booked for o in opened) == {30: 1, 0: 7}
    assert set(shop.levels().values()) == {(5, 0)}
    assert Movement.objects.filter(kind="opening").count() == 30
    assert shop.faults() == []
