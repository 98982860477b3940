"""Shipment's part of a choreographed order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from celery.exceptions import Reject
from django.test import override_settings

from celery_config.broker.message_authentication import PROOFS, MessageKeys, Mode
from celery_config.common.identifiers import uuid7
from celery_config.contracts.base import Event, command_id, encode
from celery_config.contracts.inventory import InventoryFetched, InventoryIssued
from celery_config.contracts.payment import AuthorizePayment, CapturePayment, PaymentReleased
from celery_config.contracts.shipment import BookShipment, DispatchShipment, ShipmentFailed
from celery_config.contracts.values import Address
from celery_config.messaging.models import BarrierRow, OutboxMessage
from shipment_app.carriers import carrier
from tests.service.conftest import Participant
from tests.service.shipment.parcels import ADDRESS, book, ours, theirs
from tests.service.shipment.test_webhooks import event, outcome

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


class TestWhatTheOrderServiceAskedFor:
    """Rule 29 (authenticity): inventory announces goods; shipment asks who wants them, and whether they are paid."""

    KEYS = MessageKeys({"payment": (b"p",), "shipment": (b"s",)}, Mode.REQUIRE)
    BOOK, DISPATCH, CAPTURE, AUTHORIZE = (
        command.wire_name() for command in (BookShipment, DispatchShipment, CapturePayment, AuthorizePayment)
    )

    @pytest.fixture(autouse=True)
    def _required(self) -> Iterator[None]:
        with override_settings(MESSAGE_KEYS=self.KEYS):
            yield

    def mandate(self, order: UUID) -> str:
        asked = encode(fetched(order))
        booking = {name: asked[name] for name in ("order", "address", "weight_grams", "parcels")}
        known = {"order": str(order)}
        return self.KEYS.make_mandate(
            str(order),
            {
                self.BOOK: ("shipment", booking),
                self.DISPATCH: ("shipment", known),
                self.CAPTURE: ("payment", known),
                self.AUTHORIZE: ("payment", known),
            },
        )

    def proofs(self, order: UUID, *steps: str) -> str:
        proofs = ""
        for step in steps:
            proofs = self.KEYS.give_proof("payment", str(order), step, {PROOFS: proofs})
        return proofs

    def test_it_is_done_in_its_turn_and_proved(self, participant: Participant) -> None:
        order = uuid7()
        proofs = self.proofs(order, self.AUTHORIZE)
        asked: dict[str, Any] = {"mandate": self.mandate(order), "proofs": proofs}
        assert names(participant.hear(fetched(order), **asked)) == ["ShipmentArranged"]
        [said] = OutboxMessage.objects.filter(saga=order, name="shipment.shipment_arranged")
        assert said.payload["mandate"] == asked["mandate"]
        assert said.payload["proofs"].startswith(f"{proofs} {self.BOOK}=")
        issued = InventoryIssued(order=order, shipment=ID)
        with pytest.raises(Reject, match="nothing proves that payment.capture_payment ran"):  # noqa: RUF043
            participant.hear(issued, **asked)
        assert ours(order) == "booked"
        asked["proofs"] = self.proofs(order, self.AUTHORIZE, self.CAPTURE)
        assert names(participant.hear(issued, **asked)) == ["ShipmentDeparted"]

    def test_nothing_else_is_done(self, participant: Participant) -> None:
        order, other = uuid7(), uuid7()
        for asked, mandate in (
            (fetched(order), ""),
            (fetched(order), self.mandate(other)),
            (fetched(order, "FR"), self.mandate(order)),
        ):
            with pytest.raises(Reject, match="not authentic"):
                participant.hear(asked, mandate=mandate, proofs=self.proofs(order, self.AUTHORIZE))
        assert (ours(order), theirs(order)) == (None, [])


class TestAWebhookBeforeTheAnswer:
    """Rule 8 (effects outside): it tells the saga log only, so the answer that finds itself known is announced."""

    @pytest.fixture
    def told(self, monkeypatch: pytest.MonkeyPatch, stranger: Any) -> Callable[..., None]:
        """Let the carrier's event come before the answer of the next call of this kind."""

        def before(
            method: str, order: UUID, kind: str, step: str, operation: str = "do", **data: Any
        ) -> None:
            call, key = getattr(carrier(), method), command_id(order, step, operation)

            def called(**asked: Any) -> Any:
                try:
                    return call(**asked)
                finally:
                    body = event(book(order), kind, key, parcels=1, **data)
                    assert outcome(stranger, body) == "settled"

            monkeypatch.setattr(carrier(), method, called)

        return before

    REFUSED = {"code": "address_unreachable", "reason": "no delivery to this address in Antarctica (AQ)"}

    def test_of_a_booking(self, participant: Participant, told: Callable[..., None]) -> None:
        order = uuid7()
        told("book", order, "shipment.booked", "shipment.book_shipment")
        assert names(participant.hear(fetched(order))) == ["ShipmentBooked", "ShipmentArranged"]

    def test_of_a_refusal(self, participant: Participant, told: Callable[..., None]) -> None:
        order = uuid7()
        told("book", order, "shipment.refused", "shipment.book_shipment", **self.REFUSED)
        (_, failed) = participant.hear(fetched(order, "AQ"))
        assert failed == ShipmentFailed(order=order, **self.REFUSED)
        assert BarrierRow.objects.get().action == "refused"

    def test_of_a_dispatch(self, participant: Participant, told: Callable[..., None]) -> None:
        order = uuid7()
        participant.hear(fetched(order))
        told("dispatch", order, "shipment.dispatched", "shipment.dispatch_shipment")
        issued = InventoryIssued(order=order, shipment=ID)
        assert names(participant.hear(issued)) == ["ShipmentDispatched", "ShipmentDeparted"]

    def test_of_a_cancellation(self, participant: Participant, told: Callable[..., None]) -> None:
        order = uuid7()
        participant.hear(fetched(order))
        told("cancel", order, "shipment.cancelled", "shipment.book_shipment", "undo")
        released = PaymentReleased(order=order, code="cancelled", reason="by ada")
        assert names(participant.hear(released)) == ["ShipmentCancelled", "ShipmentRecalled"]
        assert ours(order) == "cancelled"

    @pytest.mark.parametrize("country", ["GB", "AQ"])
    def test_of_a_call_whose_worker_died(
        self,
        participant: Participant,
        told: Callable[..., None],
        country: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The message comes again to a worker that finds the outcome, and knows of no call."""
        order = uuid7()
        said = self.REFUSED if country == "AQ" else {}
        kind = "shipment.refused" if said else "shipment.booked"
        with monkeypatch.context() as dying:
            dying.setattr(Participant, "take", take_and_die)
            told("book", order, kind, "shipment.book_shipment", **said)
            participant.hear(fetched(order, country))
        again = participant.hear(fetched(order, country), redelivered=True)
        assert names(again) == ["ShipmentFailed" if said else "ShipmentArranged"]
        assert participant.hear(fetched(order, country)) == []


def take_and_die(participant: Participant, request: Any) -> list[Event]:
    """Make the call of an event, and die before its answer is written."""
    ((_, call),) = participant.receive.carry_out([request])
    call.answer()
    return []
