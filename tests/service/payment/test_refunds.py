"""Refunds: promised in our rows before the provider is asked, never more than was captured (rule 23, refunds)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from celery_config.errors import OutcomeUnknown, Refused
from celery_config.messaging.models import BarrierRow
from payment_app import selectors
from payment_app.errors import IdempotencyKeyExpired, NoPayment
from payment_app.gateways import gateway
from payment_app.models import Payment, Refund, RefundOutcome
from tests.service.payment.shop import Shop
from tests.service.together import postgresql


def balances() -> dict[str, int]:
    return {row["code"]: row["balance"] for row in selectors.balances()}


def test_a_refund_is_paid_booked_and_may_be_repeated(shop: Shop) -> None:
    shop.paid(100)
    refund, saga = uuid4(), uuid4()
    replies = [shop.refund(30, refund=refund, saga=saga) for _ in range(2)]
    assert replies == [{"refund": str(refund), "refunded_amount": 30}] * 2
    assert (shop.payment().captured, shop.payment().refunded) == (100, 30)
    assert [entry.refunded for entry in shop.books()] == [30]
    assert RefundOutcome.objects.get(refund=refund).provider_id
    assert balances() == {"provider_clearing": 70, "sales": -70, "refunds_payable": 0}


def test_all_of_it_may_be_given_back_in_parts_and_no_more(shop: Shop) -> None:
    shop.paid(100)
    for part in (60, 40):
        shop.refund(part)
    with pytest.raises(Refused, match="refund_too_large"):
        shop.refund(1)
    assert shop.payment().refunded == 100
    assert Refund.objects.count() == 2
    assert balances() == {"provider_clearing": 0, "sales": 0, "refunds_payable": 0}


@postgresql
def test_refunds_at_once_never_exceed_what_was_captured(
    shop: Shop, together: Callable[..., list[Any]], transactional_db: None
) -> None:
    shop.paid(100)
    results = together(*[lambda: shop.refund(30)] * 8)
    refused = [result for result in results if isinstance(result, Refused)]
    assert len(refused) == 5
    assert {refusal.code for refusal in refused} == {"refund_too_large"}
    assert shop.payment().refunded == 90
    assert [entry.refunded for entry in shop.books()] == [90]
    assert selectors.totals()["faults"] == []


@postgresql
def test_one_refund_many_times_at_once_is_one_refund(
    shop: Shop, together: Callable[..., list[Any]], transactional_db: None
) -> None:
    shop.paid(100)
    refund, saga = uuid4(), uuid4()
    results = together(*[lambda: shop.refund(30, refund=refund, saga=saga)] * 6)
    assert results == [{"refund": str(refund), "refunded_amount": 30}] * 6
    assert shop.payment().refunded == 30
    assert [entry.refunded for entry in shop.books()] == [30]


def test_the_providers_no_takes_the_promise_back(shop: Shop) -> None:
    payment = shop.paid(100)
    gateway().refund(
        key=uuid4(), provider_id=payment.provider_id, amount=80, currency="GBP"
    )  # by hand, past our books
    refund, saga = uuid4(), uuid4()
    for _ in range(2):
        with pytest.raises(Refused, match="amount_too_large"):
            shop.refund(30, refund=refund, saga=saga)
    assert shop.payment().refunded == 0
    assert RefundOutcome.objects.get(refund=refund).declined_code == "amount_too_large"
    assert balances() == {"provider_clearing": 100, "sales": -100, "refunds_payable": 0}


def test_a_refund_in_doubt_stays_promised_until_the_provider_answers(shop: Shop) -> None:
    shop.paid(100)
    refund, saga = uuid4(), uuid4()
    shop.sandbox.fault("/provider/refunds", "error_after")
    with pytest.raises(OutcomeUnknown):
        shop.refund(70, refund=refund, saga=saga)
    assert balances() == {"provider_clearing": 100, "sales": -30, "refunds_payable": -70}
    facts = selectors.facts([shop.order])[str(shop.order)]
    assert (facts["refunded"], facts["refunds_open"], facts["ledger_sum_ok"]) == (70, 70, True)
    with pytest.raises(Refused, match="refund_too_large"):
        shop.refund(31)
    shop.refund(70, refund=refund, saga=saga)
    assert [entry.refunded for entry in shop.books()] == [70]
    assert balances() == {"provider_clearing": 30, "sales": -30, "refunds_payable": 0}


def test_a_refund_whose_key_may_be_forgotten_is_left_to_a_human(shop: Shop) -> None:
    shop.paid(100)
    refund, saga = uuid4(), uuid4()
    shop.sandbox.fault("/provider/refunds", "error_after")
    with pytest.raises(OutcomeUnknown):
        shop.refund(70, refund=refund, saga=saga)
    shop.forget_keys(saga)
    with pytest.raises(IdempotencyKeyExpired):
        shop.refund(70, refund=refund, saga=saga)
    assert [entry.refunded for entry in shop.books()] == [70]


def test_nothing_is_given_back_that_was_not_taken(shop: Shop) -> None:
    shop.authorize()
    shop.void()
    with pytest.raises(Refused, match="not_captured: The payment of this order is voided here"):
        shop.refund(1)


@pytest.mark.parametrize("lost", [True, False])
def test_a_confirmed_orders_refund_does_not_say_that_nothing_was_taken(shop: Shop, lost: bool) -> None:
    """Only confirmed orders are refunded: a payment that is missing, or only held, was lost in a restore."""
    shop.authorize()
    if lost:
        Payment.objects.all().delete()
    with pytest.raises(NoPayment):
        shop.refund(1)
    assert not BarrierRow.objects.filter(step="refund-payment").exists()


def test_a_refunds_id_is_used_once(shop: Shop) -> None:
    shop.paid(100)
    refund = uuid4()
    shop.refund(30, refund=refund)
    with pytest.raises(Refused, match="refund_exists"):
        shop.refund(30, refund=refund)
    assert shop.payment().refunded == 30


@pytest.mark.parametrize("amount", [2**31 - 1, 2**31, 2**32 + 100, 10**12])
def test_amounts_beyond_32_bits(shop: Shop, amount: int) -> None:
    """The promise and the check of what is left are expressions, whose numbers Django takes for 32 bits."""
    shop.paid(amount)
    with pytest.raises(Refused, match=r"refund_too_large|invalid_amount"):
        shop.refund(2**32 + amount)
    shop.refund(amount - 1)
    assert shop.payment().refunded == amount - 1
    with pytest.raises(Refused, match="refund_too_large"):
        shop.refund(2)
    shop.refund(1)
    assert shop.payment().refunded == amount
    assert selectors.totals()["faults"] == []
