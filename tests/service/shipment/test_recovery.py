"""Shipment is recovered from an older backup: customers who were erased since then stay erased."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from celery_config.common.identifiers import uuid7
from celery_config.contracts.base import encode
from celery_config.contracts.shipment import BookShipment, ShipmentBooked
from celery_config.erasure.models import Forgotten
from celery_config.erasure.tombstones import mark_erased
from celery_config.http.service_client import ServiceClient
from celery_config.messaging.models import BarrierRow
from shipment_app import selectors, services
from shipment_app.models import DeliveryAddress, Shipment
from shipment_app.services import Booking
from tests.service.conftest import Participant
from tests.service.everything import told
from tests.service.shipment.parcels import book
from tests.service.shipment.test_erasure import PERSONAL, changed, hear

pytestmark = pytest.mark.usefixtures("carrier_process")
STEP = "book-shipment"


def know(monkeypatch: pytest.MonkeyPatch, erased: list[UUID], *booked: tuple[UUID, BookShipment]) -> None:
    """Let the order service know the tombstones of these ids, and bookings, with their saga, by the whole command."""
    reply = encode(ShipmentBooked(shipment=uuid4(), tracking_number="x"))
    flows = [
        {
            "saga": saga, "order": command.order, "name": "place-order", "status": "completed",
            "steps": [{
                "step": STEP, "command": command.wire_name(), "logged": "done", "fields": encode(command),
                "reply": reply,
            }],
        }
        for saga, command in booked
    ]  # fmt: skip
    answers: dict[str, Any] = {
        "/api/forgotten/": {"results": [{"id": str(each)} for each in erased], "next": None},
        "/api/sagas/known/": {"flows": encode(flows), "next": ""},
    }
    monkeypatch.setattr(ServiceClient, "get", lambda _, path: answers[path.partition("?")[0]])


def recover() -> None:
    """Write what is proven. The carrier also has the parcels of other tests, and a human is asked about those."""
    with suppress(SystemExit):
        call_command("recover", "--approve", "a test", "--json")


@pytest.mark.parametrize("lost", [True, False])
def test_what_was_erased_since_the_backup_is_blanked(
    participant: Participant, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    """Whether the backup has the parcel, or the order service's log is its proof."""
    customer, saga, command = uuid4(), uuid7(), book()
    hear(changed(customer))
    participant.do(command, saga=saga, step=STEP)
    if lost:
        Shipment.objects.all().delete()
        BarrierRow.objects.all().delete()
    erased = [customer, command.order, saga]
    know(monkeypatch, erased, (saga, command))
    recover()
    assert told(*PERSONAL) == []
    assert set(Forgotten.objects.values_list("id", flat=True)) == {*erased}
    assert Shipment.objects.get().country == "GB"
    row = BarrierRow.objects.get()
    assert (row.saga, row.step, row.action) == (saga, STEP, "done")
    assert DeliveryAddress.everything.get().deleted
    assert selectors.totals()["faults"] == []


def test_who_was_not_erased_stays(participant: Participant, monkeypatch: pytest.MonkeyPatch) -> None:
    saga, command = uuid7(), book()
    know(monkeypatch, [uuid4()], (saga, command))
    participant.do(command, saga=saga, step=STEP)
    Shipment.objects.all().delete()
    recover()
    assert Shipment.objects.get().city == "York"


def test_one_that_cannot_be_written_stops_no_other(
    participant: Participant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty, other = book(), book()
    known = [(uuid7(), command) for command in (faulty, other)]
    for saga, command in known:
        participant.do(command, saga=saga, step=STEP)
    Shipment.objects.all().delete()
    know(monkeypatch, [], *known)

    def record(booking: Booking) -> list[Shipment]:
        if booking.order == faulty.order:
            raise ValueError("an unforeseen error")
        return record_bookings(booking)

    record_bookings = services.record_bookings
    monkeypatch.setattr(services, "record_bookings", record)
    recover()
    assert [row.order for row in Shipment.objects.all()] == [other.order]
    assert "cannot be written: an unforeseen error" in " ".join(capsys.readouterr().out.split())


def test_services_alone_read_the_tombstones(peer: APIClient, stranger: APIClient, db: None) -> None:
    erased = uuid4()
    mark_erased([erased])
    assert [row["id"] for row in peer.get("/api/forgotten/").json()["results"]] == [str(erased)]
    assert stranger.get("/api/forgotten/").status_code in (401, 403)
