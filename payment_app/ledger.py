"""The ledger: double entry with signed integer amounts; every transaction balances, and none is ever changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from celery_config.db import bulk
from celery_config.db.bulk import Statement
from payment_app.domain import Line, TransactionKind, check_balance, make_lines, transaction_id
from payment_app.models import Account, LedgerTransaction, Posting


@dataclass(frozen=True, kw_only=True)
class Entry:
    """`amount` minor units to post once for a payment or refund (`subject`)."""

    kind: TransactionKind
    subject: UUID
    order: UUID
    amount: int
    currency: str

    @property
    def id(self) -> UUID:
        return transaction_id(self.kind, self.subject)


def post(*entries: Entry) -> None:
    """Post each entry; the primary key refuses a second entry of one kind for one subject."""
    bulk.execute(*make_statements(entries))


def make_statements(entries: Sequence[Entry]) -> list[Statement]:
    """The statements that post the entries.

    Raises:
        Unbalanced: lines do not sum to zero in each currency. PostgreSQL checks it again at the commit.
    """
    lines = {entry.id: make_lines(entry.kind, entry.amount, entry.currency) for entry in entries}
    for each in lines.values():
        check_balance(each)
    accounts = open_accounts(line for each in lines.values() for line in each)
    transactions = [
        LedgerTransaction(id=each.id, booking=each.kind.value, order=each.order) for each in entries
    ]
    postings = [
        Posting(transaction_id=id, account_id=accounts[line.account, line.currency], amount=line.amount)
        for id, each in lines.items()
        for line in each
    ]
    return [
        *bulk.insert_statement(LedgerTransaction, transactions, ("id", "booking", "order")),
        *bulk.insert_statement(Posting, postings, ("transaction", "account", "amount")),
    ]


def open_accounts(lines: Iterable[Line]) -> dict[tuple[str, str], int]:
    """The ids of the lines' accounts, by code and currency; accounts that are missing are created."""
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
