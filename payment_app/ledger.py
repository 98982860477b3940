"""The one door into the ledger: double entry, signed integer amounts, nothing ever changed."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from payment_app.domain import Booking, Line, booking_id, check_balance, lines_of
from payment_app.models import Account, LedgerTransaction, Posting


@transaction.atomic(savepoint=False)
def book(*, booking: Booking, subject: UUID, order: UUID, amount: int, currency: str) -> None:
    """Book `amount` minor units once.

    Args:
        subject: the payment or refund; a second booking of this kind for it is refused by the primary key.
    """
    post(
        id=booking_id(booking, subject),
        booking=booking,
        order=order,
        lines=lines_of(booking, amount, currency),
    )


@transaction.atomic(savepoint=False)
def post(*, id: UUID, booking: Booking, order: UUID, lines: Sequence[Line]) -> None:
    """Write one ledger transaction.

    Raises:
        Unbalanced: the lines do not sum to zero in each currency. PostgreSQL checks it again at the commit.
    """
    check_balance(lines)
    accounts = accounts_for(lines)
    LedgerTransaction.objects.create(id=id, booking=booking.value, order=order)
    Posting.objects.bulk_create(
        Posting(transaction_id=id, account_id=accounts[line.account, line.currency], amount=line.amount)
        for line in lines
    )


def accounts_for(lines: Sequence[Line]) -> dict[tuple[str, str], int]:
    """The account ids by code and currency; a currency's accounts are opened when it is first used."""
    wanted = {(line.account.value, line.currency) for line in lines}
    currencies = {currency for _, currency in wanted}
    found = find_accounts(currencies)
    if missing := sorted(wanted - found.keys()):
        Account.objects.bulk_create([Account(code=c, currency=k) for c, k in missing], ignore_conflicts=True)
        found = find_accounts(currencies)
    return found


def find_accounts(currencies: set[str]) -> dict[tuple[str, str], int]:
    rows = Account.objects.filter(currency__in=currencies).values_list("code", "currency", "id")
    return {(code, currency): id for code, currency, id in rows}
