"""Messages that come twice, late, in the wrong order, or never."""

from __future__ import annotations

from typing import Any

import pytest

from celery_config.broker.topology import events_queue, task_queues
from celery_config.common.services import PARTICIPANTS, SERVICES
from celery_config.saga.engine.chains import STEP_FAILED
from tests.acceptance.shop import SOLD_OUT, UNREACHABLE, Shop, until
from tests.acceptance.test_cancellation import cancel, logged
from tests.acceptance.wire import Letter

QUEUES = [*(queue for service in SERVICES for queue in task_queues(service)), events_queue("order")]


def every_fate(shop: Shop) -> dict[str, dict[str, Any]]:
    """One order for each way to end; the key is the code at its end."""
    return {
        "": shop.order(),
        "card_declined": shop.order(payment_token="tok_card_declined"),
        "out_of_stock": shop.order((SOLD_OUT, 1)),
        "address_unreachable": shop.order(address=UNREACHABLE),
    }


def all_read(shop: Shop) -> bool:
    return not any(map(shop.wire.waiting, QUEUES))


class TestEveryMessageTwice:
    def test_at_once_and_after_the_end_changes_nothing(self, shop: Shop) -> None:
        fates = every_fate(shop) | {"": shop.order()}
        with shop.wire.copies() as copied:
            orders = shop.place_all(list(fates.values()) * 3)
            repeated: list[Letter] = []

            def is_all_repeated() -> bool:
                if batch := copied[len(repeated) :]:
                    shop.wire.send(*batch)
                    repeated.extend(batch)
                return not batch and not shop.in_flight(orders)

            until(is_all_repeated, "every message came twice, and all orders ended", patience=180)
            before = {order: (end.status, end.code) for order, end in shop.ends(orders).items()}
        assert [before[order][1] for order in orders] == list(fates) * 3
        tasks = {letter.task for letter in copied}
        assert {
            "payment.authorize_payment",
            "inventory.release_stock",
            STEP_FAILED,
            "events.receive",
        } <= tasks
        assert {"order.complete", "order.compensated", "payment.fence"} <= tasks

        facts = {service: barriers(shop, service, orders) for service in PARTICIPANTS}
        shop.wire.send(*copied)
        shop.wire.send(*reversed(copied))
        until(lambda: all_read(shop), "all repeats were taken")
        assert {order: (end.status, end.code) for order, end in shop.ends(orders).items()} == before
        assert {service: barriers(shop, service, orders) for service in PARTICIPANTS} == facts


def barriers(shop: Shop, service: str, orders: list[str]) -> list[dict[str, Any]]:
    sagas = [shop.saga(order)["id"] for order in orders]
    query = (
        "SELECT key, action, undo, reply FROM messaging_barrierrow WHERE saga::text = ANY(%s) ORDER BY key"
    )
    return shop.rows(service, query, sagas)


class TestTheCompensationBeforeItsAction:
    @pytest.mark.parametrize(
        ("service", "task", "step"),
        [
            ("payment", "payment.authorize_payment", "authorize-payment"),
            ("inventory", "inventory.reserve_stock", "reserve-stock"),
            ("shipment", "shipment.book_shipment", "book-shipment"),
        ],
    )
    def test_the_action_is_turned_away(self, shop: Shop, service: str, task: str, step: str) -> None:
        with shop.wire.held_back(service, lambda letter: letter.task == task) as held:
            order = shop.place()
            saga = shop.saga(order)["id"]
            until(lambda: held.of(saga), f"{task} is on its way")
            assert cancel(shop, order).status_code == 202
            assert shop.ends([order])[order].status == "cancelled"
        assert shop.barrier(service, saga)[step] == ("tombstone", "done")
        shop.wire.send(*held.letters)
        until(lambda: logged(shop, f"{service}-worker", saga, step, "outlived"), f"{task} was turned away")
        assert shop.barrier(service, saga)[step] == ("tombstone", "done")
        assert shop.shopper.detail(order)["status"] == "cancelled"


class TestWithoutErrorCallbacks:
    def test_the_watchdog_alone_ends_every_order_the_same(self, shop: Shop) -> None:
        fates = every_fate(shop)

        def is_errback(letter: Letter) -> bool:
            return letter.task == STEP_FAILED

        with shop.wire.held_back("order", is_errback) as held:
            orders = shop.place_all(list(fates.values()) * 2)
            ends = shop.ends(orders)
        assert held.letters, "there was no error callback to lose"
        assert [ends[order].code for order in orders] == list(fates) * 2
        assert [ends[order].status for order in orders] == (["confirmed"] + ["cancelled"] * 3) * 2
