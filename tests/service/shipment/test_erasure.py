"""Shipment forgets a person: name and street go from copy, shipments and messages; that there was a parcel stays."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from celery_config.common.identifiers import uuid7
from celery_config.contracts.inventory import InventoryFetched
from celery_config.contracts.order import CustomerChanged
from celery_config.contracts.shipment import Address, ForgetRecipient
from celery_config.copies.models import FINAL_VERSION
from celery_config.messaging.inbox.subscriptions import deliver
from celery_config.messaging.models import BarrierRow
from celery_config.messaging.outbox import writing
from shipment_app import selectors
from shipment_app.erasure import DATA_MAP
from shipment_app.models import DeliveryAddress, Shipment
from tests.service.conftest import Participant
from tests.service.everything import counts, told
from tests.service.shipment.parcels import ADDRESS, book, dispatch

pytestmark = pytest.mark.usefixtures("carrier_process")
HOME = {**ADDRESS, "line2": "Flat 3b", "region": "Ridings"}
PERSONAL = ("Mill Lane", "Flat 3b", "YO1 7HH", "York", "Ridings")


def changed(customer: UUID, version: int = 1) -> CustomerChanged:
    return CustomerChanged(
        customer=customer, name="Ada", email="", currency="GBP", billing_address=None,
        delivery_address=Address(**HOME), version=version,
    )  # fmt: skip


def hear(event: CustomerChanged) -> None:
    deliver([writing.cloud_event(event, subject=str(event.customer))])


def forget(customer: UUID, *about: UUID) -> ForgetRecipient:
    return ForgetRecipient(erasure=uuid4(), customer=customer, about=about)


def test_where_they_live_goes_and_the_parcel_stays(participant: Participant) -> None:
    customer, saga, command = uuid4(), uuid7(), book(**HOME)
    hear(changed(customer))
    participant.do(command, saga=saga, step="book")
    participant.do(dispatch(command.order), saga=saga, step="dispatch")
    facts = selectors.facts(orders=[command.order])
    assert told(*PERSONAL)
    reply = participant.do(forget(customer, command.order, saga))
    assert told(*PERSONAL) == []
    assert counts(reply) == {
        "shipment.DeliveryAddress": 1,
        "shipment.Shipment": 1,
        "messaging.BarrierRow": 1,
        "messaging.OutboxMessage": 0,
        "messaging.IdempotencyKey": 0,
    }
    assert Shipment.objects.get().country == "GB"
    # What is compared with the order's address is gone, too.
    assert facts[str(command.order)].pop("address_digest")
    facts[str(command.order)]["address_digest"] = ""
    assert selectors.facts(orders=[command.order]) == facts
    assert selectors.totals()["faults"] == []
    # A retried command is answered from its barrier, a late event has an older version.
    assert participant.do(command, saga=saga, step="book")["tracking_number"]
    hear(changed(customer, 2))
    assert told(*PERSONAL) == []
    row = DeliveryAddress.everything.get()
    assert (row.deleted, row.version) == (True, FINAL_VERSION)


def test_an_event_that_is_said_again_tells_nobody_where_they_lived(participant: Participant) -> None:
    order = uuid7()
    event = InventoryFetched(
        order=order,
        payment=uuid4(),
        reservation=uuid4(),
        address=Address(**ADDRESS),
        weight_grams=900,
        parcels=2,
    )
    assert participant.hear(event)
    participant.do(forget(uuid4(), order))
    assert participant.hear(event, drive=1) == []
    assert told(*PERSONAL) == []
    assert selectors.totals()["faults"] == []


@pytest.fixture
def ids() -> tuple[UUID, UUID]:
    customer, order = uuid4(), uuid7()
    DATA_MAP.erase(customer, [order])
    assert selectors.totals()["faults"] == []
    return customer, order


def test_the_audit_finds_an_address_in_the_copy(ids: tuple[UUID, UUID]) -> None:
    DeliveryAddress.everything.filter(pk=ids[0]).update(delivery_address=ADDRESS)
    (fault,) = selectors.totals()["faults"]
    assert fault == f"1 rows of shipment.DeliveryAddress hold personal data of an erased customer: {ids[0]}"


def test_the_audit_finds_the_address_of_a_shipment(ids: tuple[UUID, UUID], participant: Participant) -> None:
    participant.do(book(ids[1]))
    (fault,) = selectors.totals()["faults"]
    assert "shipment.Shipment" in fault


def test_the_audit_finds_an_address_in_a_stored_request(ids: tuple[UUID, UUID]) -> None:
    request: dict[str, Any] = {"address": ADDRESS}
    BarrierRow.objects.create(key=uuid4(), saga=ids[1], step="s", command="c", action="done", request=request)
    (fault,) = selectors.totals()["faults"]
    assert "messaging.BarrierRow" in fault
