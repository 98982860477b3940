"""What the provider takes: payment announces it, and an order that cannot be paid is refused before any call."""

from __future__ import annotations

from typing import Any

import pytest

from celery_config.common.money import currency_digits
from celery_config.errors import CallFailed, OutcomeUnknown, Refused
from celery_config.messaging.models import BarrierRow, OutboxMessage
from payment_app.currencies import announce_currencies
from payment_app.gateways import gateway
from payment_app.gateways.stripe_currencies import CURRENCIES
from payment_app.models import Currency
from tests.service.payment.shop import Shop


def announced() -> dict[str, tuple[bool, int, int]]:
    """The last announcement about each currency."""
    events = OutboxMessage.objects.filter(name="payment.currency_changed").order_by("id")
    data = [event["data"] for event in events.values_list("payload", flat=True)]
    return {each["currency"]: (each["accepted"], each["step"], each["version"]) for each in data}


@pytest.fixture
def at_stripe(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The sandbox, with the table of Stripe."""
    monkeypatch.setattr(type(gateway()), "currencies", CURRENCIES)
    return shop


def test_every_currency_is_announced_once(shop: Shop) -> None:
    assert announce_currencies() == len(currency_digits())
    assert announced().keys() == currency_digits().keys()
    assert set(announced().values()) == {(True, 1, 1)}
    assert announce_currencies() == 0


def test_another_gateway_is_announced_as_what_differs(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    announce_currencies()
    monkeypatch.setattr(type(gateway()), "currencies", CURRENCIES)
    changed = announce_currencies()
    told = announced()
    assert (told["KWD"], told["MGA"], told["IRR"]) == ((True, 10, 2), (True, 100, 2), (False, 1, 2))
    assert (told["EUR"], told["ISK"]) == ((True, 1, 1), (True, 1, 1))
    assert changed == sum(version == 2 for _, _, version in told.values())


def test_what_is_no_currency_any_more_is_deleted(shop: Shop) -> None:
    Currency.objects.create(currency="HRK", accepted=True, step=1)
    announce_currencies()
    assert not Currency.objects.filter(pk="HRK").exists()
    assert OutboxMessage.objects.get(name="payment.currency_deleted").payload["data"]["currency"] == "HRK"


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        (12345, "KWD", "amount_not_payable"),
        (1999, "MGA", "amount_not_payable"),
        (1999, "IRR", "currency_not_supported"),
        (1999, "XXX", "unknown_currency"),
        (1999, "CLF", "unknown_currency"),
    ],
)
def test_what_cannot_be_paid_is_a_refusal_before_any_call(
    at_stripe: Shop, amount: int, currency: str, code: str
) -> None:
    """Although no copy knew it when the order was placed."""
    calls = at_stripe.sandbox.calls("POST /provider/authorizations")
    with pytest.raises(Refused) as refused:
        at_stripe.authorize(amount=amount, currency=currency)
    assert refused.value.code == code
    row: Any = BarrierRow.objects.get()
    assert (row.action, row.reply["code"]) == ("refused", code)
    assert at_stripe.sandbox.calls("POST /provider/authorizations") == calls


def test_a_table_that_changed_since_proves_nothing_of_the_call_before(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The money may be held: only the table of the moment in which the intent was opened decides."""
    with pytest.raises(OutcomeUnknown):
        shop.authorize("tok_error_after_charging", amount=12345, currency="KWD")
    with monkeypatch.context() as changed:
        changed.setattr(type(gateway()), "currencies", CURRENCIES)
        with pytest.raises(CallFailed, match="amount_not_payable"):
            shop.authorize("tok_error_after_charging", amount=12345, currency="KWD")
        assert BarrierRow.objects.get().action == "intent"
    shop.authorize("tok_error_after_charging", amount=12345, currency="KWD")
    monkeypatch.setattr(type(gateway()), "currencies", CURRENCIES)
    with pytest.raises(CallFailed, match="amount_not_payable"):
        shop.capture()
    assert [entry.state for entry in shop.books()] == ["authorized"]


def test_a_refund_in_a_step_that_the_provider_does_not_know_is_declined(at_stripe: Shop) -> None:
    at_stripe.authorize(amount=12340, currency="KWD")
    at_stripe.capture()
    with pytest.raises(Refused, match="amount_not_payable"):
        at_stripe.refund(15, currency="KWD")
    assert at_stripe.payment().refunded == 0
    at_stripe.refund(20, currency="KWD")
    assert at_stripe.payment().refunded == 20


def test_the_page_of_currencies_opens(shop: Shop, admin_client: Any) -> None:
    announce_currencies()
    assert "KWD" in admin_client.get("/admin/payment/currency/?q=KWD").content.decode()
    assert admin_client.get("/admin/payment/currency/KWD/change/").status_code == 200
