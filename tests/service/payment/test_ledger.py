"""What the ledger and the tables refuse, whoever writes: the service, and PostgreSQL behind it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F

from payment_app import ledger, selectors
from payment_app.domain import AccountCode, Line, TransactionKind
from payment_app.errors import Unbalanced
from payment_app.ledger import Entry
from payment_app.models import Account, LedgerTransaction, Payment, Posting, Refund, RefundOutcome
from tests.service.payment.shop import Shop
from tests.service.together import postgresql

# Commits are real here: PostgreSQL checks the balance at the end of a transaction.
pytestmark = pytest.mark.django_db(transaction=True)


@transaction.atomic
def write_past_the_service(amounts: tuple[int, ...]) -> None:
    account = Account.objects.create(code=AccountCode.SALES.value, currency="GBP")
    written = LedgerTransaction.objects.create(
        id=uuid4(), booking=TransactionKind.CAPTURE.value, order=uuid4()
    )
    for amount in amounts:
        Posting.objects.create(transaction=written, account=account, amount=amount)


def capture() -> Entry:
    return Entry(kind=TransactionKind.CAPTURE, subject=uuid4(), order=uuid4(), amount=5, currency="GBP")


def lines(*amounts: tuple[str, int]) -> list[Line]:
    return [Line(AccountCode.SALES, currency, amount) for currency, amount in amounts]


def test_the_service_refuses_what_does_not_balance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "make_lines", lambda *_: lines(("GBP", 5), ("GBP", -4)))
    with pytest.raises(Unbalanced), transaction.atomic():
        ledger.post(capture())
    assert not LedgerTransaction.objects.exists()


def test_each_currency_balances_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    right = lines(("GBP", 5), ("GBP", -5), ("JPY", 7), ("JPY", -7))
    monkeypatch.setattr(ledger, "make_lines", lambda *_: right)
    ledger.post(capture())
    assert selectors.totals() == {
        "ledger_sums": {"GBP": 0, "JPY": 0},
        "unbalanced_transactions": 0,
        "faults": [],
    }


def test_a_thing_is_booked_once() -> None:
    entry = capture()
    ledger.post(entry)
    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.post(entry)


@postgresql
@pytest.mark.parametrize("amounts", [(), (5,), (5, -4)])
def test_postgresql_refuses_a_commit_that_does_not_balance(amounts: tuple[int, ...]) -> None:
    with pytest.raises(IntegrityError, match="ledger transaction"):
        write_past_the_service(amounts)
    assert not LedgerTransaction.objects.exists()


@postgresql
def test_postgresql_refuses_a_posting_added_later(shop: Shop) -> None:
    shop.paid()
    account = Account.objects.get(code="sales")
    with pytest.raises(IntegrityError, match="does not sum to zero: -1 GBP"):
        Posting.objects.create(transaction=LedgerTransaction.objects.get(), account=account, amount=-1)


@postgresql
@pytest.mark.parametrize(
    ("model", "change"),
    [
        (Posting, {"amount": F("amount") * 2}),
        (LedgerTransaction, {"booking": "capture"}),
        (Refund, {"amount": 1}),
        (RefundOutcome, {"provider_id": "another"}),
    ],
)
def test_postgresql_refuses_to_change_or_delete_a_fact(
    shop: Shop, model: Any, change: dict[str, Any]
) -> None:
    shop.paid()
    shop.refund(100)
    rows = model.objects.all()
    with pytest.raises(IntegrityError, match="is append-only"):
        rows.update(**change)
    with pytest.raises(IntegrityError, match="is append-only"):
        rows._raw_delete(rows.db)


@pytest.mark.parametrize(
    "change",
    [
        {"refunded": 2000},
        {"refunded": -1},
        {"captured": 2000},
        {"captured": 0},
        {"state": "voided"},
        {"amount": 0, "captured": 0, "state": "voided"},
    ],
)
def test_a_payment_cannot_contradict_itself(shop: Shop, change: dict[str, Any]) -> None:
    shop.paid(1999)
    with pytest.raises(IntegrityError):
        Payment.objects.update(**change)


def test_an_unbalanced_transaction_would_be_found(shop: Shop) -> None:
    """The audit does not rely on the guards."""
    shop.paid()
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE payment_posting DISABLE TRIGGER USER")
        Posting.objects.filter(amount__gt=0).update(amount=1)
        assert selectors.totals()["faults"] == [
            "the ledger sums to -1998 GBP",
            "1 ledger transactions do not sum to zero",
        ]
        assert selectors.facts([shop.order])[str(shop.order)]["ledger_sum_ok"] is False
        transaction.set_rollback(True)
