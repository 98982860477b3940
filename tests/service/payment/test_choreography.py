"""Payment's part of a choreographed order: it holds, takes and lets go, and has the last word about undoing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from celery.exceptions import Reject

from celery_config.common.identifiers import uuid7
from celery_config.contracts.base import Command, Event, StepTried, command_id
from celery_config.contracts.inventory import InventoryRefused
from celery_config.contracts.order import OrderPlaced, OrderWithdrawn
from celery_config.contracts.payment import (
    AuthorizePayment,
    CapturePayment,
    PaymentCollected,
    PaymentFailed,
    PaymentReceived,
    PaymentReleased,
    PaymentRetained,
    VoidPayment,
)
from celery_config.contracts.shipment import ShipmentArranged
from celery_config.contracts.values import Address, Line
from celery_config.errors import OutcomeUnknown, Refused
from celery_config.messaging.barrier import webhooks
from celery_config.messaging.barrier.webhooks import OutcomeNotification
from celery_config.messaging.models import BarrierRow, OutboxMessage
from celery_config.participant.handlers import registry
from payment_app.domain import payment_id
from payment_app.gateways import gateway
from payment_app.models import Payment
from tests.service.conftest import Participant
from tests.service.payment.shop import Shop
from tests.service.together import together

ADDRESS = Address(name="Ada", line1="1 High St", city="London", postal_code="SW1", country="GB")


class Buyer:
    """One choreographed order, as payment hears of it."""

    def __init__(self, shop: Shop, participant: Participant, token: str = "tok_approved") -> None:
        self.shop, self.participant, self.token = shop, participant, token
        self.order = shop.order = uuid7()

    def hear(self, event: Event, *, drive: int = 0, known: str = "") -> list[str]:
        return [type(each).__name__ for each in self.participant.hear(event, drive=drive, known=known)]

    def placed(self, drive: int = 0) -> list[str]:
        return self.hear(self.announcement, drive=drive)

    @property
    def announcement(self) -> OrderPlaced:
        return OrderPlaced(
            order=self.order, customer=self.shop.customer, amount=1999, currency="GBP", payment_token=self.token,
            lines=(Line(sku="TEA", quantity=2),), address=ADDRESS, weight_grams=560, parcels=1,
        )  # fmt: skip

    def arranged(self) -> list[str]:
        return self.hear(
            ShipmentArranged(
                order=self.order, payment=payment_id(self.order), reservation=uuid4(), shipment=uuid4(),
                tracking_number="SB-1",
            )
        )  # fmt: skip

    def withdrawn(self, drive: int = 0) -> list[str]:
        return self.hear(OrderWithdrawn(order=self.order, code="cancelled", reason="by ada"), drive=drive)

    @property
    def state(self) -> str | None:
        return Payment.objects.filter(order=self.order).values_list("state", flat=True).first()


@pytest.fixture
def buyer(shop: Shop, participant: Participant) -> Buyer:
    return Buyer(shop, participant)


def test_the_money_is_held_and_then_taken(buyer: Buyer) -> None:
    assert buyer.placed() == ["PaymentReceived"]
    assert buyer.state == "authorized"
    assert buyer.arranged() == ["PaymentCollected"]
    assert buyer.state == "captured"
    assert [entry.state for entry in buyer.shop.books()] == ["captured"]


def test_what_the_others_need_is_passed_on(buyer: Buyer, participant: Participant) -> None:
    buyer.placed()
    row = OutboxMessage.objects.get(name=PaymentReceived.wire_name())
    assert row.saga == buyer.order
    assert row.payload["data"]["lines"] == [{"sku": "TEA", "quantity": 2}]
    assert row.payload["data"]["payment"] == str(payment_id(buyer.order))
    expires = datetime.fromisoformat(row.payload["data"]["expires_at"])
    assert expires == Payment.objects.get(order=buyer.order).expires_at
    assert "payment_token" not in row.payload["data"]
    assert (row.payload["flow"], row.payload["subject"]) == ("choreographed", str(buyer.order))


def test_a_repeat_is_silent_and_a_drive_is_answered_again(buyer: Buyer) -> None:
    """Rule 22: the key is order, action and operation, not the event's id."""
    buyer.placed()
    assert buyer.placed() == []
    assert buyer.placed(drive=1) == ["PaymentReceived"]
    assert BarrierRow.objects.count() == 1
    assert len(buyer.shop.books()) == 1


def test_a_declined_card_is_announced_and_payment_itself_undoes(shop: Shop, participant: Participant) -> None:
    buyer = Buyer(shop, participant, "tok_card_declined")
    assert buyer.placed() == ["PaymentFailed"]
    assert buyer.placed(drive=1) == ["PaymentFailed"]
    failed = PaymentFailed(order=buyer.order, code="card_declined", reason="")
    assert buyer.hear(failed) == ["PaymentReleased"]
    # The order service may have lost both, with its database, and would wait for its deadline.
    assert buyer.placed(drive=2) == ["PaymentFailed"]
    assert buyer.hear(failed, drive=2) == ["PaymentReleased"]


def test_a_refusal_of_one_order_lets_go_of_no_other_orders_money(
    shop: Shop, participant: Participant
) -> None:
    """Inventory may refuse any order; but the barrier would know one, and the money would be another's."""
    refused, other = Buyer(shop, participant), Buyer(shop, participant)
    for each in (refused, other):
        each.placed()
    mixed = InventoryRefused(order=other.order, code="out_of_stock", reason="no tea")
    with pytest.raises(Reject, match="names another order"):
        participant.hear(mixed, of=refused.order)
    assert (refused.state, other.state) == ("authorized", "authorized")


def test_a_refusal_elsewhere_lets_the_money_go(buyer: Buyer) -> None:
    buyer.placed()
    (released,) = buyer.participant.hear(
        InventoryRefused(order=buyer.order, code="out_of_stock", reason="no tea")
    )
    assert released == PaymentReleased(order=buyer.order, code="out_of_stock", reason="no tea")
    assert buyer.state == "voided"
    assert buyer.withdrawn() == []
    assert buyer.withdrawn(drive=3) == ["PaymentReleased"]


def test_what_was_let_go_is_never_taken(buyer: Buyer) -> None:
    """Rule 13: the fence's tombstone; the late event finds it."""
    buyer.placed()
    buyer.withdrawn()
    assert buyer.arranged() == []
    assert buyer.state == "voided"


def test_what_was_withdrawn_first_is_never_held(buyer: Buyer) -> None:
    """Rule 7."""
    assert buyer.withdrawn() == ["PaymentReleased"]
    assert buyer.placed() == []
    assert buyer.placed(drive=1) == []
    assert buyer.state is None
    assert buyer.shop.books() == []


def test_what_was_taken_is_retained(buyer: Buyer) -> None:
    """Rule 13: who takes the money decides."""
    buyer.placed()
    buyer.arranged()
    assert buyer.withdrawn() == ["PaymentRetained"]
    assert buyer.state == "captured"


def test_a_capture_in_doubt_is_settled_before_anything_is_undone(
    buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 8: the call is repeated with its key; the money was taken, so nothing is given back."""
    buyer.placed()
    capture = gateway().capture

    def taken_and_lost(**asked: Any) -> None:
        capture(**asked)
        raise OutcomeUnknown("no answer")

    with monkeypatch.context() as broken:
        broken.setattr(gateway(), "capture", taken_and_lost)
        buyer.arranged()
    assert BarrierRow.objects.get(command="payment.capture_payment").action == "intent"
    assert buyer.withdrawn() == ["PaymentRetained"]
    assert buyer.state == "captured"


def test_an_authorization_in_doubt_is_settled_and_let_go(
    buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorize = gateway().authorize

    def held_and_lost(**asked: Any) -> None:
        authorize(**asked)
        raise OutcomeUnknown("no answer")

    with monkeypatch.context() as broken:
        broken.setattr(gateway(), "authorize", held_and_lost)
        buyer.placed()
    assert buyer.withdrawn() == ["PaymentReleased"]
    assert [entry.state for entry in buyer.shop.books()] == ["voided"]


def test_used_up_tries_are_as_good_as_a_refusal(
    buyer: Buyer, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    def lost(**_: Any) -> None:
        raise OutcomeUnknown("no answer")

    monkeypatch.setattr(gateway(), "authorize", lost)
    monkeypatch.setattr(type(settings.TIMES), "retry_delay", lambda *_: None)
    tried, failed = buyer.participant.hear(buyer.announcement)
    assert isinstance(failed, PaymentFailed)
    assert failed.code == "unknown_outcome"
    assert isinstance(tried, StepTried)
    assert (tried.step, tried.number, tried.next_at) == (AuthorizePayment.wire_name(), 1, None)


def test_twins_hold_once(shop: Shop, participant: Participant, transactional_db: None) -> None:
    buyer = Buyer(shop, participant)
    said = together(*[lambda: participant.hear(buyer.announcement)] * 4)
    assert {type(each) for some in said for each in some} <= {PaymentReceived}
    assert len(shop.books()) == 1


def test_of_a_taking_and_a_withdrawal_at_once_one_wins(
    shop: Shop, participant: Participant, transactional_db: None
) -> None:
    """One row in one database decides."""
    for _ in range(5):
        buyer = Buyer(shop, participant)
        buyer.placed()
        together(buyer.arranged, buyer.withdrawn)
        said = set(OutboxMessage.objects.filter(saga=buyer.order).values_list("name", flat=True))
        taken = PaymentCollected.wire_name() in said or PaymentRetained.wire_name() in said
        assert taken != (PaymentReleased.wire_name() in said)
        assert buyer.state == ("captured" if taken else "voided")


def test_what_a_webhook_settled_is_told_by_the_next_try(
    buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 8: the hint is written over the intent and carries nothing on; the try that finds it does."""
    authorize = gateway().authorize
    held: list[Any] = []

    def held_and_lost(**asked: Any) -> None:
        held.append(authorize(**asked))
        raise OutcomeUnknown("no answer")

    with monkeypatch.context() as broken:
        broken.setattr(gateway(), "authorize", held_and_lost)
        assert buyer.placed() == ["StepTried"]
    row = BarrierRow.objects.get()
    assert (row.tries, row.tried, row.last_error) == (1, "do", "unknown_outcome: no answer")
    said = webhooks.receive_notification(
        registry.get,
        OutcomeNotification(
            event="e", kind="authorized", key=row.key, subject=buyer.order, command=AuthorizePayment,
            answer={"provider_id": held[0].provider_id}, facts={},
        ),
    )  # fmt: skip
    assert said == "settled"
    (again,) = OutboxMessage.objects.filter(kind="task").values_list("payload", flat=True)
    assert [type(each).__name__ for each in buyer.participant.take_again(again)] == ["PaymentReceived"]


@pytest.mark.parametrize("known", ["payment.authorize_payment", "payment.capture_payment"])
def test_what_the_order_service_saw_done_is_not_said_to_have_never_been(buyer: Buyer, known: str) -> None:
    """The database was set back: a release would let the others undo while the money is held, or taken."""
    buyer.placed()
    BarrierRow.objects.exclude(command="" if "authorize" in known else AuthorizePayment.wire_name()).delete()
    event = OrderWithdrawn(order=buyer.order, code="cancelled", reason="by ada")
    assert buyer.hear(event, known=known) == ["StepGaveUp"]
    payload = OutboxMessage.objects.get(name="step.step_gave_up").payload
    assert (payload["data"]["code"], payload["outcome"]) == ("step_lost", "failed")
    assert not BarrierRow.objects.filter(action="tombstone").exists()


def test_what_is_known_goes_on_with_the_answers(buyer: Buyer) -> None:
    buyer.placed()
    buyer.hear(OrderWithdrawn(order=buyer.order, code="x", reason=""), known="shipment.book_shipment")
    released = OutboxMessage.objects.get(name=PaymentReleased.wire_name()).payload
    assert released["known"] == "shipment.book_shipment"


class TestAWebhookBeforeTheAnswer:
    """Rule 8 (effects outside): it tells the saga log only, so the answer that finds itself known is announced."""

    @pytest.fixture
    def told(self, buyer: Buyer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """Let the provider's event come before the answer of the next call of this kind."""

        def before(method: str, command: type[Command], undo: Command | None = None) -> None:
            call = getattr(gateway(), method)
            key = command_id(buyer.order, command.wire_name(), "undo" if undo else "do")

            def called(**asked: Any) -> Any:
                answer: Any = {}
                try:
                    made = call(**asked)
                    answer = {"provider_id": made.provider_id} if made else {}
                    return made
                except Refused as refused:
                    answer = refused
                    raise
                finally:
                    said = OutcomeNotification("e", method, key, command, buyer.order, {}, answer, undo)
                    assert webhooks.receive_notification(registry.get, said) == "settled"

            monkeypatch.setattr(gateway(), method, called)

        return before

    def test_of_an_authorization(self, buyer: Buyer, told: Callable[..., None]) -> None:
        told("authorize", AuthorizePayment)
        assert buyer.placed() == ["PaymentAuthorized", "PaymentReceived"]

    def test_of_a_refusal(self, buyer: Buyer, told: Callable[..., None]) -> None:
        buyer.token = "tok_card_declined"
        told("authorize", AuthorizePayment)
        assert buyer.placed() == ["PaymentRefused", "PaymentFailed"]

    def test_of_a_capture(self, buyer: Buyer, told: Callable[..., None]) -> None:
        buyer.placed()
        told("capture", CapturePayment)
        assert buyer.arranged() == ["PaymentCaptured", "PaymentCollected"]

    def test_of_a_capture_that_is_refused(self, buyer: Buyer, told: Callable[..., None]) -> None:
        buyer.token = "tok_capture_refused"
        buyer.placed()
        told("capture", CapturePayment)
        assert buyer.arranged() == ["CaptureRefused", "PaymentFailed"]

    def test_of_a_void(self, buyer: Buyer, told: Callable[..., None]) -> None:
        buyer.placed()
        told("void", AuthorizePayment, VoidPayment(order=buyer.order))
        assert buyer.withdrawn() == ["PaymentVoided", "PaymentReleased"]
        assert buyer.state == "voided"
