"""The rules of a payment, without a database."""

from __future__ import annotations

from uuid import uuid4

import pytest

from celery_config.contracts.payment import MAX_AMOUNT
from celery_config.errors import Refused
from payment_app import domain
from payment_app.domain import ACCOUNTS, AccountCode, Line, State, TransactionKind
from payment_app.errors import NoPayment, Unbalanced


def code_of(refused: pytest.ExceptionInfo[Refused]) -> str:
    return refused.value.code


def test_ids_are_the_same_each_time_and_differ_by_kind() -> None:
    order = uuid4()
    assert domain.payment_id(order) == domain.payment_id(order)
    assert domain.payment_id(order) != domain.payment_id(uuid4())
    assert len({domain.transaction_id(kind, order) for kind in TransactionKind}) == len(TransactionKind)


@pytest.mark.parametrize("kind", list(TransactionKind))
def test_every_transaction_balances(kind: TransactionKind) -> None:
    lines = domain.make_lines(kind, 1999, "GBP")
    domain.check_balance(lines)
    assert [(line.account, line.amount) for line in lines] == [
        (ACCOUNTS[kind][0], 1999),
        (ACCOUNTS[kind][1], -1999),
    ]


def balances_after(*kinds: TransactionKind) -> dict[AccountCode, int]:
    balances = dict.fromkeys(AccountCode, 0)
    for kind in kinds:
        for line in domain.make_lines(kind, 100, "GBP"):
            balances[line.account] += line.amount
    return balances


def test_a_refund_reverses_the_capture() -> None:
    paid_back = balances_after(
        TransactionKind.CAPTURE, TransactionKind.REFUND_PROMISED, TransactionKind.REFUND_PAID
    )
    assert set(paid_back.values()) == {0}


def test_a_declined_refund_leaves_the_capture() -> None:
    declined = balances_after(
        TransactionKind.CAPTURE, TransactionKind.REFUND_PROMISED, TransactionKind.REFUND_DECLINED
    )
    assert declined == balances_after(TransactionKind.CAPTURE)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [Line(AccountCode.SALES, "GBP", 1)],
        [Line(AccountCode.SALES, "GBP", 5), Line(AccountCode.SALES, "GBP", -4)],
        [Line(AccountCode.SALES, "GBP", 1), Line(AccountCode.PROVIDER_CLEARING, "EUR", -1)],
    ],
)
def test_what_does_not_balance_is_an_error(lines: list[Line]) -> None:
    with pytest.raises(Unbalanced):
        domain.check_balance(lines)


@pytest.mark.parametrize("currency", ["GBP", "JPY", "KWD", "ISK"])
def test_an_authorization_that_makes_sense(currency: str) -> None:
    domain.check_authorization(amount=1, currency=currency, token="tok_approved", paid_already=False)
    domain.check_authorization(amount=MAX_AMOUNT, currency=currency, token="x" * 500, paid_already=False)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"paid_already": True}, "already_authorized"),
        ({"amount": 0}, "invalid_amount"),
        ({"amount": -1}, "invalid_amount"),
        ({"amount": MAX_AMOUNT + 1}, "invalid_amount"),
        ({"currency": "gbp"}, "unknown_currency"),
        ({"currency": ""}, "unknown_currency"),
        ({"currency": "ZZZ"}, "unknown_currency"),
        ({"token": ""}, "invalid_token"),
        ({"token": "x" * 501}, "invalid_token"),
        ({"token": "tok\n"}, "invalid_token"),
        ({"token": "tok approved"}, "invalid_token"),
        ({"token": "tök"}, "invalid_token"),
    ],
)
def test_an_authorization_that_makes_no_sense(wrong: dict[str, object], code: str) -> None:
    right: dict[str, object] = {
        "amount": 1999,
        "currency": "GBP",
        "token": "tok_approved",
        "paid_already": False,
    }
    with pytest.raises(Refused) as refused:
        domain.check_authorization(**(right | wrong))  # type: ignore[arg-type]
    assert code_of(refused) == code


def test_only_held_money_of_the_order_itself_is_captured() -> None:
    ours, other = uuid4(), uuid4()
    domain.check_capture(state=State.AUTHORIZED, ours=ours, named=ours)
    for state, mine, asked, code in [
        (State.AUTHORIZED, ours, other, "wrong_payment"),
        (State.VOIDED, ours, ours, "already_voided"),
        (State.CAPTURED, ours, ours, "already_captured"),
    ]:
        with pytest.raises(Refused) as refused:
            domain.check_capture(state=state, ours=mine, named=asked)
        assert code_of(refused) == code
    with pytest.raises(NoPayment, match=str(ours)):
        domain.check_capture(state=None, ours=None, named=ours)


def test_only_captured_money_is_given_back_and_in_its_own_currency() -> None:
    domain.check_refund(state=State.CAPTURED, payment_currency="GBP", amount=5, currency="GBP")
    for state, currency, amount, code in [
        (State.VOIDED, "GBP", 5, "not_captured"),
        (State.CAPTURED, "EUR", 5, "wrong_currency"),
        (State.CAPTURED, "GBP", 0, "invalid_amount"),
        (State.CAPTURED, "GBP", -5, "invalid_amount"),
    ]:
        with pytest.raises(Refused) as refused:
            domain.check_refund(state=state, payment_currency="GBP", amount=amount, currency=currency)
        assert code_of(refused) == code
    for lost in (None, State.AUTHORIZED):
        with pytest.raises(NoPayment):
            domain.check_refund(state=lost, payment_currency="GBP", amount=5, currency="GBP")
