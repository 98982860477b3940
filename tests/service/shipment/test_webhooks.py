"""The carrier's webhooks: what they settle, and what they do not."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings

from celery_config.contracts.base import command_id
from celery_config.contracts.shipment import BookShipment
from celery_config.errors import OutcomeUnknown, Refused, StepSuperseded
from celery_config.http.webhooks import HEADER, sign
from celery_config.messaging.models import BarrierRow, Contradiction, OutboxMessage
from shipment_app.carriers import carrier
from tests.service.shipment.parcels import book, cancel, dispatch, ours, theirs
from tests.service.together import postgresql, together

pytestmark = pytest.mark.usefixtures("carrier_process")
URL = "/api/carrier-events/"
RACES = 10


def event(command: BookShipment, kind: str, key: UUID, **changes: Any) -> dict[str, Any]:
    """The event that the carrier sends of what its books hold for the order."""
    data: dict[str, Any] = {"reference": str(command.order), "weight_grams": 900, "parcels": 2}
    for entry in carrier().find_entries(command.order):
        data |= {"id": entry.carrier_id, "tracking_number": entry.tracking_number}
    return {"id": f"evt_{uuid4().hex}", "type": kind, "idempotency_key": str(key), "data": data | changes}


def send(client: Any, body: dict[str, Any], secret: str = "") -> Any:
    content = json.dumps(body).encode()
    signed = sign(content, secret or settings.SHIPMENT_WEBHOOK_SECRET, at=int(time.time()))
    return client.post(URL, content, content_type="application/json", headers={HEADER: signed})


def outcome(client: Any, body: dict[str, Any]) -> str:
    answer = send(client, body)
    assert answer.status_code == 200, answer.content
    return str(answer.json()["outcome"])


class Parcel:
    """One booking, done at the carrier and unknown here."""

    def __init__(self, participant: Any, process: Any) -> None:
        self.participant, self.process = participant, process
        self.command, self.saga = book(), uuid4()
        self.doubt("step", lambda: self.book())

    def doubt(self, step: str, call: Any) -> None:
        self.process.fault("/carrier", "error_after")
        with pytest.raises(OutcomeUnknown):
            call()

    def book(self) -> Any:
        return self.participant.do(self.command, saga=self.saga)

    def key(self, operation: str = "do", step: str = "step") -> UUID:
        return command_id(self.saga, step, operation)

    @property
    def row(self) -> BarrierRow:
        return BarrierRow.objects.get(key=self.key())


@pytest.fixture
def parcel(participant: Any, carrier_process: Any) -> Parcel:
    return Parcel(participant, carrier_process)


def test_a_booking(parcel: Parcel, stranger: Any) -> None:
    body = event(parcel.command, "shipment.booked", parcel.key())
    assert [outcome(stranger, body) for _ in range(2)] == ["settled", "known"]
    assert (ours(parcel.command.order), theirs(parcel.command.order)) == ("booked", ["booked"])
    assert parcel.book() == parcel.row.reply
    assert OutboxMessage.objects.filter(name="shipment.shipment_booked").count() == 1


def test_an_event_may_have_unknown_fields(parcel: Parcel, stranger: Any) -> None:
    """Rule 24: the carrier's format gains fields."""
    body = event(parcel.command, "shipment.booked", parcel.key(), colour="red") | {"api_version": "9"}
    assert outcome(stranger, body) == "settled"


def test_a_refusal(parcel: Parcel, stranger: Any) -> None:
    body = event(
        parcel.command, "shipment.refused", parcel.key(), code="address_unreachable", reason="too far"
    )
    assert outcome(stranger, body) == "settled"
    with pytest.raises(Refused, match="address_unreachable"):
        parcel.book()


def test_a_dispatch(parcel: Parcel, stranger: Any) -> None:
    parcel.book()
    sent = dispatch(parcel.command.order)
    parcel.doubt("d", lambda: parcel.participant.do(sent, saga=parcel.saga, step="d"))
    body = event(parcel.command, "shipment.dispatched", parcel.key(step="d"))
    assert [outcome(stranger, body) for _ in range(2)] == ["settled", "known"]
    assert ours(parcel.command.order) == "dispatched"


def test_a_cancellation(parcel: Parcel, stranger: Any) -> None:
    parcel.book()
    parcel.doubt("step", lambda: parcel.participant.undo(cancel(parcel.command.order), saga=parcel.saga))
    body = event(parcel.command, "shipment.cancelled", parcel.key("undo"))
    assert [outcome(stranger, body) for _ in range(2)] == ["settled", "known"]
    assert (ours(parcel.command.order), parcel.row.undo) == ("cancelled", "done")


@pytest.mark.parametrize(
    "changes", [{"weight_grams": 901}, {"parcels": 1}, {"reference": str(UUID(int=4))}], ids=str
)
def test_what_was_not_asked_for(parcel: Parcel, stranger: Any, changes: dict[str, Any]) -> None:
    assert (
        outcome(stranger, event(parcel.command, "shipment.booked", parcel.key(), **changes)) == "contradicts"
    )
    assert (parcel.row.action, ours(parcel.command.order)) == ("intent", None)
    assert Contradiction.objects.count() == 1


def test_a_forged_one(parcel: Parcel, stranger: Any) -> None:
    answer = send(stranger, event(parcel.command, "shipment.booked", parcel.key()), secret="guessed")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_signature")
    assert parcel.row.action == "intent"


def test_one_of_another_kind(parcel: Parcel, stranger: Any) -> None:
    assert outcome(stranger, event(parcel.command, "shipment.delayed", parcel.key())) == "ignored"


def test_one_that_comes_when_all_is_undone(parcel: Parcel, stranger: Any) -> None:
    late = event(parcel.command, "shipment.booked", parcel.key())
    parcel.participant.undo(cancel(parcel.command.order), saga=parcel.saga)
    assert outcome(stranger, late) == "known"
    assert (ours(parcel.command.order), theirs(parcel.command.order)) == ("cancelled", ["cancelled"])
    with pytest.raises(StepSuperseded):
        parcel.book()


@postgresql
def test_events_and_the_answer_at_once(participant: Any, carrier_process: Any, stranger: Any) -> None:
    for _ in range(RACES):
        one = Parcel(participant, carrier_process)
        body = event(one.command, "shipment.booked", one.key())
        results = together(one.book, *[lambda b=body: send(stranger, b)] * 3)
        assert results[0] == one.row.reply
        assert {answer.status_code for answer in results[1:]} == {200}
        assert theirs(one.command.order) == ["booked"]
        assert OutboxMessage.objects.filter(saga=one.saga).count() == 1
    assert not Contradiction.objects.exists()
