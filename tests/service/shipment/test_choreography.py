"""Shipment's part of a choreographed order."""

from __future__ import annotations

from uuid import UUID

import pytest

from celery_config.common.identifiers import uuid7
from celery_config.contracts.base import Event
from celery_config.contracts.inventory import InventoryFetched, InventoryIssued
from celery_config.contracts.payment import PaymentReleased
from celery_config.contracts.values import Address
from tests.service.conftest import Participant
from tests.service.shipment.parcels import ADDRESS, ours, theirs

pytestmark = pytest.mark.usefixtures("carrier_process")
ID = UUID(int=7)


def fetched(order: UUID, country: str = "GB") -> InventoryFetched:
    address = Address(**(ADDRESS | {"country": country}))
    return InventoryFetched(
        order=order, payment=ID, reservation=ID, address=address, weight_grams=900, parcels=1
    )


def names(events: list[Event]) -> list[str]:
    return [type(each).__name__ for each in events]


def test_a_parcel_is_booked_and_sent_once(participant: Participant) -> None:
    order = uuid7()
    assert names(participant.hear(fetched(order))) == ["ShipmentArranged"]
    assert participant.hear(fetched(order)) == []
    issued = InventoryIssued(order=order, shipment=ID)
    assert names(participant.hear(issued)) == ["ShipmentDeparted"]
    assert names(participant.hear(issued, drive=1)) == ["ShipmentDeparted"]
    assert (ours(order), theirs(order)) == ("dispatched", ["dispatched"])


def test_where_nobody_goes_is_refused(participant: Participant) -> None:
    order = uuid7()
    assert names(participant.hear(fetched(order, "AQ"))) == ["ShipmentFailed"]
    assert theirs(order) == []


def test_what_was_booked_is_cancelled_and_what_comes_late_is_not_booked(participant: Participant) -> None:
    order, late = uuid7(), uuid7()
    participant.hear(fetched(order))
    for each in (order, late):
        released = PaymentReleased(order=each, code="cancelled", reason="by ada")
        assert names(participant.hear(released)) == ["ShipmentRecalled"]
    assert participant.hear(fetched(late)) == []
    assert (ours(order), theirs(order), ours(late)) == ("cancelled", ["cancelled"], None)
