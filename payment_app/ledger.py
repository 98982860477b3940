"""The one door into the ledger: double entry, signed integer amounts, nothing ever changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from celery_config.db import bulk
from celery_config.db.bulk import Statement
from payment_app.domain import Booking, Line, booking_id, check_balance, lines_of
from payment_app.models import Account, LedgerTransaction, Posting


@dataclass(frozen=True, kw_only=True)
class Entry:
    """`amount` minor units to be booked once for a payment or refund (`subject`)."""

    booking: Booking
    subject: UUID
    order: UUID
    amount: int
    currency: str


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One ledger transaction to be written."""

    id: UUID
    booking: Booking
    order: UUID
    lines: Sequence[Line]


def post(*entries: Entry) -> None:
    """Book each entry; a second booking of its kind for a subject is refused by the primary key."""
    bulk.execute(*post_statements(entries))


def post_statements(entries: Sequence[Entry]) -> list[Statement]:
    """What books the entries."""
    return posted(
        [
            Draft(
                id=booking_id(entry.booking, entry.subject),
                booking=entry.booking,
                order=entry.order,
                lines=lines_of(entry.booking, entry.amount, entry.currency),
            )
            for entry in entries
        ]
    )


def posted(drafts: Sequence[Draft]) -> list[Statement]:
    """What writes ledger transactions.

    Raises:
        Unbalanced: lines do not sum to zero in each currency. PostgreSQL checks it again at the commit.
    """
    for draft in drafts:
        check_balance(draft.lines)
    accounts = accounts_for([line for draft in drafts for line in draft.lines])
    transactions = [
        LedgerTransaction(id=draft.id, booking=draft.booking.value, order=draft.order) for draft in drafts
    ]
    postings = [
        Posting(transaction_id=draft.id, account_id=accounts[line.account, line.currency], amount=line.amount)
        for draft in drafts
        for line in draft.lines
    ]
    return [
        *bulk.insert_statement(LedgerTransaction, transactions, ("id", "booking", "order")),
        *bulk.insert_statement(Posting, postings, ("transaction", "account", "amount")),
    ]


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
    found = Account.objects.filter(currency__in=currencies).values_list("code", "currency", "id")
    return {(code, currency): id for code, currency, id in found}
