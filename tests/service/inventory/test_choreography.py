"""Inventory's part of a choreographed order."""

from __future__ import annotations

from uuid import UUID

import pytest
from celery.exceptions import Reject

from celery_config.common.identifiers import uuid7
from celery_config.contracts.base import Event
from celery_config.contracts.inventory import Line
from celery_config.contracts.payment import PaymentCollected, PaymentReceived, PaymentReleased
from celery_config.contracts.values import Address
from tests.service.conftest import Participant
from tests.service.inventory.conftest import Shop

ADDRESS = Address(name="Ada", line1="1 High St", city="London", postal_code="SW1", country="GB")
ID = UUID(int=7)


def received(order: UUID, quantity: int = 3) -> PaymentReceived:
    lines = (Line(sku="TEA", quantity=quantity),)
    return PaymentReceived(order=order, payment=ID, lines=lines, address=ADDRESS, weight_grams=1, parcels=1)


def collected(order: UUID) -> PaymentCollected:
    return PaymentCollected(order=order, payment=ID, captured_amount=1, reservation=ID, shipment=ID)


def released(order: UUID) -> PaymentReleased:
    return PaymentReleased(order=order, code="cancelled", reason="by ada")


def names(events: list[Event]) -> list[str]:
    return [type(each).__name__ for each in events]


def test_goods_are_held_and_issued_once(shop: Shop, participant: Participant) -> None:
    shop.stock(TEA=10)
    order = uuid7()
    assert names(participant.hear(received(order))) == ["InventoryFetched"]
    assert shop.levels() == {"TEA": (10, 3)}
    assert participant.hear(received(order)) == []
    assert names(participant.hear(collected(order))) == ["InventoryIssued"]
    assert participant.hear(collected(order)) == []
    assert names(participant.hear(received(order), drive=1)) == ["InventoryFetched"]
    assert shop.levels() == {"TEA": (7, 0)}


def test_what_is_not_there_is_refused(shop: Shop, participant: Participant) -> None:
    shop.stock(TEA=2)
    order = uuid7()
    assert names(participant.hear(received(order))) == ["InventoryRefused"]
    assert names(participant.hear(released(order))) == ["InventoryReturned"]
    assert shop.levels() == {"TEA": (2, 0)}


def test_what_was_held_is_put_back_once(shop: Shop, participant: Participant) -> None:
    shop.stock(TEA=10)
    order = uuid7()
    participant.hear(received(order))
    assert names(participant.hear(released(order))) == ["InventoryReturned"]
    assert participant.hear(released(order)) == []
    assert names(participant.hear(released(order), drive=2)) == ["InventoryReturned"]
    assert shop.levels() == {"TEA": (10, 0)}


def test_what_was_released_before_it_was_heard_of_is_never_held(shop: Shop, participant: Participant) -> None:
    """Rule 7: a tombstone."""
    shop.stock(TEA=10)
    order = uuid7()
    assert names(participant.hear(released(order))) == ["InventoryReturned"]
    assert participant.hear(received(order)) == []
    assert participant.hear(received(order), drive=1) == []
    assert shop.levels() == {"TEA": (10, 0)}


def test_an_event_of_one_order_releases_nothing_of_another(shop: Shop, participant: Participant) -> None:
    """The barrier knows the one that the event is of, and the goods are those of the one in its data."""
    shop.stock(TEA=10)
    own, other = uuid7(), uuid7()
    for order in (own, other):
        participant.hear(received(order))
    with pytest.raises(Reject, match="names another order"):
        participant.hear(released(other), of=own)
    assert shop.levels() == {"TEA": (10, 6)}
    assert names(participant.hear(released(own))) == ["InventoryReturned"]
    assert shop.levels() == {"TEA": (10, 3)}
