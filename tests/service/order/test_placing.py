"""Placing and cancelling orders."""

from __future__ import annotations

import json
from typing import Any

import pytest

from celery_config.db import bulk
from celery_config.messaging.models import OutboxMessage
from celery_config.saga.engine import runner
from celery_config.saga.engine.chains import LARGEST_CHAIN
from celery_config.saga.engine.machine import PivotRan
from celery_config.saga.models import SagaInstance
from order_project import cancelling, domain, services
from order_project.domain import RequestLine
from order_project.errors import BadLines, OrderTooLarge, TooLate
from order_project.models import CatalogueProduct, Order, PayableCurrency
from tests.service.order.conftest import ADDRESS, HEART, LAMP, REPLIES, Placed, Shop

pytestmark = pytest.mark.django_db


def nothing_was_written() -> bool:
    return not (Order.objects.exists() or SagaInstance.objects.exists() or OutboxMessage.objects.exists())


def lines(*pairs: tuple[str, int]) -> tuple[RequestLine, ...]:
    return tuple(RequestLine(sku=sku, quantity=quantity) for sku, quantity in pairs)


class TestPlacing:
    def test_prices_come_from_the_catalogue(self, shop: Shop) -> None:
        placed = Placed(shop.place(lines=lines((HEART, 7), (LAMP, 2))).order)
        assert placed.order.total == 7 * 255 + 2 * 339
        assert placed.order.weight_grams == 9 * 150
        kept = placed.order.lines.order_by("id").values_list("sku", "quantity", "unit_price")
        assert list(kept) == [(HEART, 7, 255), (LAMP, 2, 339)]

    def test_lines_of_one_product_become_one(self, shop: Shop) -> None:
        placed = Placed(shop.place(lines=lines((HEART, 1), (LAMP, 1), (HEART, 2))).order)
        assert list(placed.order.lines.order_by("id").values_list("sku", "quantity")) == [
            (HEART, 3),
            (LAMP, 1),
        ]

    def test_an_agreed_price_holds_and_is_kept_as_one(self, shop: Shop) -> None:
        placed = Placed(shop.place(lines=(RequestLine(sku=HEART, quantity=7, unit_price=199),)).order)
        assert (placed.order.total, placed.saga.data["amount"]) == (1393, 1393)
        assert placed.order.lines.get().price_source == "agreed"

    def test_lines_are_one_a_product_and_price_and_stock_is_reserved_once_a_product(self, shop: Shop) -> None:
        asked = [(1, 199), (2, None), (3, 199), (4, 255)]
        wanted = tuple(RequestLine(sku=HEART, quantity=q, unit_price=price) for q, price in asked)
        placed = Placed(shop.place(lines=wanted).order)
        kept = placed.order.lines.order_by("id").values_list("quantity", "unit_price", "price_source")
        assert list(kept) == [(4, 199, "agreed"), (2, 255, "catalogue"), (4, 255, "agreed")]
        assert placed.order.total == 4 * 199 + 6 * 255
        assert placed.saga.data["lines"] == [{"sku": HEART, "quantity": 10}]

    def test_the_sagas_data_is_all_that_its_commands_need(self, shop: Shop) -> None:
        placed = shop.order()
        data = placed.saga.data
        assert (data["order"], data["amount"], data["payment_token"]) == (str(placed.id), 1785, "tok_visa")
        assert data["lines"] == [{"sku": HEART, "quantity": 7}]
        assert data["address"]["city"] == ADDRESS.city
        assert placed.saga.subject == str(placed.id)

    @pytest.mark.parametrize(
        ("wanted", "code"),
        [
            ({"lines": lines(("no-such", 1))}, "unknown_sku"),
            ({"lines": ()}, "empty_order"),
            ({"lines": lines((HEART, 0))}, "bad_quantity"),
            ({"lines": lines((HEART, domain.MAX_QUANTITY), (HEART, 1))}, "bad_quantity"),
            (
                {
                    "lines": tuple(
                        RequestLine(sku=HEART, quantity=domain.MAX_QUANTITY, unit_price=price)
                        for price in (1, 2)
                    )
                },
                "bad_quantity",
            ),
            ({"lines": (RequestLine(sku=HEART, quantity=1, unit_price=-1),)}, "bad_price"),
            ({"lines": (RequestLine(sku=HEART, quantity=1, unit_price=10**13),)}, "bad_price"),
            ({"lines": (RequestLine(sku=HEART, quantity=1, unit_price=0),)}, "nothing_to_pay"),
            ({"currency": "USD"}, "wrong_currency"),
            ({"lines": lines(*[(f"s{n}", 1) for n in range(domain.MAX_LINES + 1)])}, "too_many_lines"),
        ],
    )
    def test_what_cannot_be_ordered_is_refused_and_nothing_is_written(
        self, shop: Shop, wanted: dict[str, Any], code: str
    ) -> None:
        with pytest.raises(BadLines) as refused:
            shop.place(**wanted)
        assert refused.value.faults[0].code == code
        assert nothing_was_written()

    def test_a_product_that_is_not_sold_any_more(self, shop: Shop) -> None:
        CatalogueProduct.objects.filter(sku=HEART).update(active=False)
        with pytest.raises(BadLines, match="not sold"):
            shop.place()

    @pytest.mark.parametrize(
        ("known", "code"),
        [
            ({"accepted": False, "step": 1}, "currency_not_supported"),
            ({"accepted": True, "step": 10}, "amount_not_payable"),
        ],
    )
    def test_what_the_provider_does_not_take_is_refused(
        self, shop: Shop, known: dict[str, Any], code: str
    ) -> None:
        PayableCurrency.objects.create(currency="EUR", version=1, **known)
        with pytest.raises(BadLines) as refused:
            shop.place()
        assert refused.value.faults[0].code == code
        assert nothing_was_written()

    @pytest.mark.parametrize(
        "known",
        [
            {"currency": "EUR", "accepted": True, "step": 5},
            {"currency": "GBP", "accepted": False, "step": 1},
            {"currency": "EUR", "accepted": False, "step": 1, "deleted": True},
        ],
    )
    def test_what_it_takes_or_is_not_known_yet_is_placed(self, shop: Shop, known: dict[str, Any]) -> None:
        PayableCurrency.everything.create(version=1, **known)
        assert Placed(shop.place().order).order.total == 1785

    def test_a_full_order_of_675_lines_fits(self, shop: Shop) -> None:
        """Rule 4: lines travel in one command only."""
        self.stock(domain.MAX_LINES)
        placed = Placed(
            shop.place(lines=lines(*[(f"sku-{n}", 100_000) for n in range(domain.MAX_LINES)])).order
        )
        assert len(json.dumps(placed.messages[0])) < LARGEST_CHAIN

    def test_an_order_over_128_kb_is_refused_and_nothing_is_written(self, shop: Shop) -> None:
        """Rule 4."""
        with pytest.raises(OrderTooLarge):
            shop.place(payment_token="t" * LARGEST_CHAIN)
        assert nothing_was_written()

    def test_a_crash_after_all_is_written_leaves_nothing(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Start, rule 1: a saga without its order would take money for nothing."""
        write = bulk.execute

        def dies(*changes: bulk.Statement) -> None:
            write(*changes)
            raise KeyboardInterrupt

        monkeypatch.setattr(bulk, "execute", dies)
        with pytest.raises(KeyboardInterrupt):
            shop.place()
        assert nothing_was_written()

    def stock(self, count: int) -> None:
        product = {
            "name": "x",
            "price": 1,
            "currency": "EUR",
            "weight_grams": 1,
            "active": True,
            "version": 1,
        }
        CatalogueProduct.objects.bulk_create(
            CatalogueProduct(sku=f"sku-{n}", **product) for n in range(count)
        )


class TestCancelling:
    def test_it_stops_the_saga_and_the_order_stays_until_all_is_undone(self, placed: Placed) -> None:
        assert cancelling.ask_to_cancel(order=placed.order, reason="by ada") == "stopping"
        assert placed.saga.cause == {"step": "", "code": "cancelled", "reason": "by ada"}
        assert placed.order.status == "placed"
        runner.end_stop_chains({placed.saga_id: runner.StopChainEnd({})})
        assert (placed.order.status, placed.order.cancel_code) == ("cancelled", "cancelled")

    def test_again_is_harmless(self, placed: Placed) -> None:
        cancelling.ask_to_cancel(order=placed.order, reason="by ada")
        assert cancelling.ask_to_cancel(order=placed.order, reason="by bob") == "stopping"
        assert len(placed.chains) == 2
        runner.end_stop_chains({placed.saga_id: runner.StopChainEnd({})})
        assert cancelling.ask_to_cancel(order=placed.order, reason="by ada") == "compensated"

    def test_going_forward_or_completed_it_is_too_late(self, placed: Placed) -> None:
        """Once the money is taken, the reason is said."""
        runner.handle_trigger(placed.saga_id, PivotRan())
        with pytest.raises(TooLate, match="forward"):
            cancelling.ask_to_cancel(order=placed.order, reason="by ada")
        runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
        with pytest.raises(TooLate, match="completed"):
            cancelling.ask_to_cancel(order=placed.order, reason="by ada")

    def test_a_parked_one_is_for_a_human(self, placed: Placed) -> None:
        """Rule 25."""
        placed.set(status="parked", due_at=None)
        with pytest.raises(TooLate, match="parked"):
            cancelling.ask_to_cancel(order=placed.order, reason="by ada")


def test_customers_of_an_import_are_made_once(shop: Shop) -> None:
    first = services.ensure_customers(["17850", "13047"])
    again = services.ensure_customers(["13047", "12583"])
    assert first["13047"] == again["13047"]
    assert set(again) == {"13047", "12583"}


@pytest.mark.parametrize(("grams", "count"), [(1, 1), (30_000, 1), (30_001, 2), (90_000, 3), (0, 1)])
def test_parcels(grams: int, count: int) -> None:
    assert domain.count_parcels(grams) == count
