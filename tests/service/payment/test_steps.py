"""Authorize, void, capture: every test token, repeats, doubt, compensation, fence."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from celery_config.errors import OutcomeUnknown, Refused, StepSuperseded, list_causes
from celery_config.messaging.models import BarrierRow, OutboxMessage
from payment_app.domain import payment_id
from payment_app.errors import NoPayment, VoidImpossible
from payment_app.gateways import gateway
from payment_app.models import LedgerTransaction, Payment, Posting
from tests.service.payment.shop import CAPTURE, Shop


@pytest.mark.parametrize("token", ["tok_approved", "tok_slow"])
def test_the_amount_is_held(shop: Shop, token: str) -> None:
    reply = shop.authorize(token)
    payment = shop.payment()
    expires_at = datetime.fromisoformat(reply.pop("expires_at"))
    assert reply == {"payment": str(payment_id(shop.order)), "amount": 1999, "currency": "GBP"}
    assert expires_at == payment.expires_at
    assert (payment.state, payment.amount, payment.captured) == ("authorized", 1999, 0)
    assert timedelta(days=6) < payment.expires_at - timezone.now() < timedelta(days=8)
    assert [(e.state, e.amount, e.provider_id) for e in shop.books()] == [
        ("authorized", 1999, payment.provider_id)
    ]


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_card_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_nobody_knows", "invalid_token"),
    ],
)
def test_the_providers_no_is_stored_and_announced_once(shop: Shop, token: str, code: str) -> None:
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            shop.authorize(token)
        assert refused.value.code == code
    assert not Payment.objects.exists()
    event = OutboxMessage.objects.get(name="payment.payment_refused")
    assert event.payload["data"]["code"] == code
    # The sandbox repeats a token that it does not know.
    row = BarrierRow.objects.get()
    said = [str(error) for error in list_causes(refused.value)]
    assert token not in f"{said} {event.payload} {row.reply}"
    shop.void()
    assert shop.books() == []


@pytest.mark.parametrize("token", ["tok_timeout_then_succeeds", "tok_error_after_charging"])
def test_an_unknown_outcome_is_settled_by_the_same_call(shop: Shop, token: str) -> None:
    with pytest.raises(OutcomeUnknown):
        shop.authorize(token)
    assert not Payment.objects.exists()
    assert len(shop.books()) == 1  # charged, and nobody here knows it
    reply = shop.authorize(token)
    assert shop.authorize(token) == reply
    assert [entry.provider_id for entry in shop.books()] == [shop.payment().provider_id]


def test_what_makes_no_sense_is_refused_without_a_call(shop: Shop) -> None:
    with pytest.raises(Refused, match="unknown_currency"):
        shop.authorize(currency="ZZZ")
    assert shop.books() == []


def test_an_order_is_paid_once(shop: Shop) -> None:
    shop.authorize()
    shop.saga = uuid4()
    with pytest.raises(Refused, match="already_authorized"):
        shop.authorize()
    assert len(shop.books()) == 1


def test_a_void_lets_the_money_go_and_may_be_repeated(shop: Shop) -> None:
    shop.authorize()
    shop.void()
    shop.void()
    assert shop.payment().state == "voided"
    assert [entry.state for entry in shop.books()] == ["voided"]
    with pytest.raises(StepSuperseded):
        shop.authorize()


def test_a_void_before_its_authorization_leaves_a_tombstone(shop: Shop) -> None:
    shop.void()
    with pytest.raises(StepSuperseded):
        shop.authorize()
    assert shop.books() == []


def test_a_void_in_doubt_settles_the_authorization_first(shop: Shop) -> None:
    """Rule 8: "not found" is no answer; the call is repeated, and what it did is undone."""
    with pytest.raises(OutcomeUnknown):
        shop.authorize("tok_timeout_then_succeeds")
    shop.void()
    assert shop.payment().state == "voided"
    assert [entry.state for entry in shop.books()] == ["voided"]


def test_a_hold_that_expired_at_the_provider_can_be_voided(shop: Shop) -> None:
    shop.authorize()
    gateway().void(key=uuid4(), provider_id=shop.payment().provider_id)
    shop.void()
    assert shop.payment().state == "voided"


def test_a_void_of_captured_money_is_an_error_and_no_refusal(shop: Shop) -> None:
    shop.paid()
    with pytest.raises(VoidImpossible):
        shop.void()
    assert shop.payment().state == "captured"


def test_a_void_whose_payment_is_gone_is_an_error(shop: Shop) -> None:
    shop.authorize()
    Payment.objects.all().delete()
    with pytest.raises(NoPayment):
        shop.void()


def test_a_capture_takes_the_money_and_books_it(shop: Shop) -> None:
    shop.authorize()
    replies = [shop.capture() for _ in range(2)]
    payment = shop.payment()
    assert replies == [{"payment": str(payment.id), "captured_amount": 1999}] * 2
    assert (payment.state, payment.captured) == ("captured", 1999)
    assert [(e.state, e.captured) for e in shop.books()] == [("captured", 1999)]
    assert LedgerTransaction.objects.get().order == shop.order
    lines = Posting.objects.values_list("account__code", "account__currency", "amount")
    assert set(lines) == {("provider_clearing", "GBP", 1999), ("sales", "GBP", -1999)}


def test_a_capture_whose_payment_is_lost_is_no_refusal(shop: Shop) -> None:
    """Its command names the payment, so it was authorized: a refusal would compensate with the money held."""
    shop.authorize()
    Payment.objects.all().delete()
    with pytest.raises(NoPayment):
        shop.capture()
    assert not BarrierRow.objects.filter(step=CAPTURE).exists()


def test_a_capture_of_another_payment_is_refused(shop: Shop) -> None:
    shop.authorize()
    with pytest.raises(Refused, match="wrong_payment"):
        shop.capture(payment=uuid4())


def test_a_voided_payment_is_not_captured(shop: Shop) -> None:
    shop.authorize()
    shop.void()
    with pytest.raises(Refused, match="already_voided"):
        shop.capture()
    assert not LedgerTransaction.objects.exists()


def test_a_capture_the_provider_refuses_is_refused(shop: Shop) -> None:
    shop.authorize()
    gateway().void(key=uuid4(), provider_id=shop.payment().provider_id)
    with pytest.raises(Refused, match="already_voided"):
        shop.capture()
    assert shop.payment().state == "authorized"


@pytest.mark.parametrize(("taken", "done"), [(1999, True), (1000, False)])
def test_a_capture_whose_key_was_forgotten_is_known_by_its_amount(shop: Shop, taken: int, done: bool) -> None:
    shop.authorize()
    gateway().capture(key=uuid4(), provider_id=shop.payment().provider_id, amount=taken, currency="GBP")
    if done:
        assert shop.capture()["captured_amount"] == taken
    else:
        with pytest.raises(Refused, match="already_captured"):
            shop.capture()


@pytest.mark.parametrize("end", ["void", "authorize"])
def test_an_authorization_whose_key_was_forgotten_is_looked_up_first(shop: Shop, end: str) -> None:
    """Rule 8 (effects outside): repeated with that key it would hold the money twice."""
    with pytest.raises(OutcomeUnknown):
        shop.authorize("tok_error_after_charging")
    shop.forget_keys()
    asked = shop.sandbox.calls("POST /provider/authorizations")
    assert asked
    if end == "void":
        shop.void()
    else:
        shop.authorize("tok_error_after_charging")
    assert shop.sandbox.calls("POST /provider/authorizations") == asked
    assert [entry.state for entry in shop.books()] == ["voided" if end == "void" else "authorized"]


def test_an_authorization_that_the_provider_does_not_show_is_asked_for_again(shop: Shop) -> None:
    """Rule 8 (effects outside): "not found" settles no doubt, so the call is repeated all the same."""
    shop.sandbox.fault("/provider/authorizations", "error_500")
    with pytest.raises(OutcomeUnknown):
        shop.authorize()
    shop.forget_keys()
    shop.void()
    assert [entry.state for entry in shop.books()] == ["voided"]


@pytest.mark.parametrize("end", ["capture", "fence"])
def test_a_capture_whose_key_was_forgotten_takes_the_money_once(shop: Shop, end: str) -> None:
    shop.authorize()
    shop.sandbox.fault("/provider/authorizations", "error_after")
    with pytest.raises(OutcomeUnknown):
        shop.capture()
    shop.forget_keys()
    if end == "capture":
        shop.capture()
    else:
        assert shop.fence() is True
    assert shop.payment().state == "captured"
    assert [(entry.state, entry.captured) for entry in shop.books()] == [("captured", 1999)]


def test_a_void_whose_key_was_forgotten_is_what_was_wanted(shop: Shop) -> None:
    shop.authorize()
    shop.sandbox.fault("/provider/authorizations", "error_after")
    with pytest.raises(OutcomeUnknown):
        shop.void()
    shop.forget_keys()
    shop.void()
    assert shop.payment().state == "voided"
    assert [entry.state for entry in shop.books()] == ["voided"]


def test_the_fence_keeps_a_capture_from_ever_running(shop: Shop) -> None:
    shop.authorize()
    assert shop.fence() is False
    with pytest.raises(StepSuperseded):
        shop.capture()
    assert [entry.state for entry in shop.books()] == ["authorized"]


def test_the_fence_settles_a_capture_in_doubt(shop: Shop) -> None:
    shop.authorize()
    shop.sandbox.fault("/provider/authorizations", "error_after")
    with pytest.raises(OutcomeUnknown):
        shop.capture()
    assert shop.payment().state == "authorized"
    assert shop.fence() is True
    assert shop.payment().state == "captured"
    assert OutboxMessage.objects.filter(name="order.pivot_ran", saga=shop.saga).count() == 1
