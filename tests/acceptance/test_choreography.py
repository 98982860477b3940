"""Choreographed orders on the real system: every end, cancels, lost and strange events, and no message for others."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from celery_config.broker.topology import events_queue
from celery_config.common.services import PARTICIPANTS
from tests.acceptance.shop import ANVIL, SOLD_OUT, TOO_HEAVY, UNREACHABLE, Shop, until
from tests.acceptance.test_hostile_messages import NO_EMBED, letter

REFUSALS: dict[str, dict[str, Any]] = {
    "card_declined": {"payment_token": "tok_card_declined"},
    "out_of_stock": {"lines": [{"sku": SOLD_OUT, "quantity": 1}]},
    "address_unreachable": {"address": UNREACHABLE},
    "parcel_too_heavy": {"lines": [{"sku": ANVIL, "quantity": TOO_HEAVY}]},
}


def place(shop: Shop, **fields: Any) -> str:
    return shop.place(flow="choreographed", **fields)


def choreography(shop: Shop, order: str) -> dict[str, Any]:
    return dict(shop.shopper.detail(order)["choreography"])


def seen(shop: Shop, order: str) -> set[str]:
    return {each["kind"] for each in choreography(shop, order)["seen"]}


def test_every_refusal_ends_with_nothing_left(shop: Shop) -> None:
    placed = {code: place(shop, **fields) for code, fields in REFUSALS.items()}
    fine = place(shop)
    ends = shop.ends([*placed.values(), fine])
    assert ends[fine].status == "confirmed"
    assert shop.shopper.detail(fine)["tracking_number"]
    for code, order in placed.items():
        assert (ends[order].status, ends[order].code) == ("cancelled", code)
        assert shop.facts("payment", order).get("state") in (None, "voided")
        assert shop.facts("inventory", order).get("state") in (None, "released")
    assert not shop.rows(
        "order", "SELECT 1 FROM saga_sagainstance WHERE subject = ANY(%s)", [*placed.values()]
    )


def test_cancelled_half_way_it_is_undone(shop: Shop) -> None:
    with shop.wire.held_back_events("shipment") as held:
        order = place(shop)
        until(lambda: held.of(order), "the goods are held")
        answer = shop.shopper.http.post(f"/api/orders/{order}/cancel/")
        assert answer.status_code == 202, answer.text
        # Else shipment, and then the pivot, may be quicker than the withdrawal.
        until(lambda: shop.facts("payment", order)["state"] == "voided", "payment knows that it is withdrawn")
    shop.wire.send(*held.letters)
    end = shop.ends([order])[order]
    assert (end.status, end.code) == ("cancelled", "cancelled")


@pytest.mark.parametrize("service", ["order", *PARTICIPANTS])
def test_events_that_never_come_are_said_again(shop: Shop, service: str) -> None:
    """Rule 22: the due row. Whatever the broker lost of it, the order ends."""
    with shop.wire.held_back_events(service) as lost:
        orders = [place(shop), place(shop, **REFUSALS["out_of_stock"])]
        until(lambda: any(map(lost.of, orders)), "something is lost")
    ends = shop.ends(orders)
    assert [ends[order].status for order in orders] == ["confirmed", "cancelled"]


def test_late_events_change_nothing(shop: Shop) -> None:
    with shop.wire.held_back_events("inventory") as late:
        order = place(shop)
        until(lambda: late.of(order), "inventory would hear of it")
        shop.shopper.http.post(f"/api/orders/{order}/cancel/").raise_for_status()
    assert shop.ends([order])[order].status == "cancelled"
    shop.wire.send(*late.letters, *late.letters)
    shop.all_confirmed([place(shop)])
    assert shop.facts("inventory", order).get("state") in (None, "released")


@pytest.mark.parametrize("service", PARTICIPANTS)
def test_what_nobody_understands_goes_to_the_dead_letters(shop: Shop, service: str) -> None:
    known = {row["id"] for row in shop.dead_letters()}
    kind = {"payment": "order.order_placed", "inventory": "payment.payment_received"}.get(
        service, "inventory.inventory_fetched"
    )
    event = {
        "specversion": "1.0", "id": str(uuid4()), "source": "/x", "subject": "x", "time": "2026-01-01T00:00:00Z",
        "saga": str(uuid4()), "flow": "choreographed",
    }  # fmt: skip
    strange = [{**event, "type": "x.nobody_knows", "data": {}}, {**event, "type": kind, "data": {"order": 1}}]
    queue = events_queue(service)
    shop.wire.send(*(letter(queue, [[], each, NO_EMBED], task="events.receive") for each in strange))

    def kept() -> list[dict[str, Any]]:
        return [row for row in shop.dead_letters() if row["id"] not in known]

    until(lambda: len(kept()) == len(strange), "both are kept")
    assert {row["queue"] for row in kept()} == {queue}
    shop.all_confirmed([place(shop)])


def test_orchestrated_orders_send_participants_no_events(shop: Shop) -> None:
    with shop.wire.copies() as copied:
        orders = [shop.place(), place(shop)]
        shop.all_confirmed(orders)
    saga = shop.saga(orders[0])["id"]
    heard = {(each.queue, each.kwargs.get("saga")) for each in copied if each.task == "events.receive"}
    queues = {events_queue(service) for service in PARTICIPANTS}
    assert {queue for queue, of in heard if of == orders[1]} > queues
    assert {queue for queue, of in heard if of == saga} & queues == set()
