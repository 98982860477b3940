"""The reads of the payment service; none of them locks or writes a row."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet, Sum

from payment_app.domain import AccountCode
from payment_app.erasure import DATA_MAP
from payment_app.models import Account, LedgerTransaction, Payment, Posting, Refund


def find_payment(order: UUID) -> Payment | None:
    return Payment.objects.filter(order=order).first()


def find_payments(orders: Collection[UUID]) -> dict[UUID, Payment]:
    """The payments of these orders, by order."""
    return {payment.order: payment for payment in Payment.objects.filter(order__in=list(orders))}


def find_order(provider_id: str) -> UUID | None:
    """The order of the authorization with this id at the provider; None when we have none."""
    return Payment.objects.filter(provider_id=provider_id).values_list("order", flat=True).first()


def balances() -> list[dict[str, Any]]:
    """The balance of every account, in minor units; a debit is positive."""
    rows = Account.objects.annotate(balance=Sum("postings__amount", default=0)).order_by("currency", "code")
    return [dict(row) for row in rows.values("code", "currency", "balance")]


def find_unbalanced(orders: Collection[UUID] | None = None) -> QuerySet[LedgerTransaction]:
    """Ledger transactions (of these orders, or all) without postings, or not zero in some currency."""
    transactions, postings = LedgerTransaction.objects.all(), Posting.objects.all()
    if orders is not None:
        transactions = transactions.filter(order__in=orders)
        postings = postings.filter(transaction__order__in=orders)
    wrong = postings.values("transaction", "account__currency").annotate(total=Sum("amount")).exclude(total=0)
    return transactions.filter(Q(id__in=wrong.values("transaction")) | Q(postings__isnull=True)).distinct()


def totals() -> dict[str, Any]:
    """The sum of all postings per currency; `faults` says in words what is wrong."""
    sums: dict[str, int] = {}
    for row in balances():
        sums[row["currency"]] = sums.get(row["currency"], 0) + row["balance"]
    broken = find_unbalanced().count()
    faults = [f"the ledger sums to {total} {currency}" for currency, total in sums.items() if total]
    if broken:
        faults.append(f"{broken} ledger transactions do not sum to zero")
    faults += DATA_MAP.find_residue()
    return {"ledger_sums": sums, "unbalanced_transactions": broken, "faults": faults}


def facts(orders: Collection[UUID]) -> dict[str, dict[str, Any]]:
    """What payment did for each of the orders, by order id; an order without a payment has no entry.

    `refunded` is paid back or promised; `refunds_open` is the part that the provider has not confirmed yet.
    `ledger_sum_ok`: the order's ledger transactions balance, and they post exactly what was captured and refunded.
    """
    open_refunds = Refund.objects.filter(payment__order__in=orders, outcome__isnull=True)
    promised = _sum_by_order(open_refunds.values(order=F("payment__order")))
    sales = Posting.objects.filter(transaction__order__in=orders, account__code=AccountCode.SALES.value)
    earned = _sum_by_order(sales.values(order=F("transaction__order")))
    broken = set(find_unbalanced(orders).values_list("order", flat=True))
    return {
        str(payment.order): {
            "order": str(payment.order),
            "payment": str(payment.id),
            "provider_id": payment.provider_id,
            "state": payment.state,
            "amount": payment.amount,
            "currency": payment.currency,
            "captured": payment.captured,
            "refunded": payment.refunded,
            "refunds_open": promised.get(payment.order, 0),
            "ledger_sum_ok": payment.order not in broken
            and -earned.get(payment.order, 0) == payment.captured - payment.refunded,
        }
        for payment in Payment.objects.filter(order__in=orders)
    }


def _sum_by_order(rows: QuerySet[Any, Any]) -> dict[UUID, int]:
    """The sum of `amount` of each order."""
    return {row["order"]: row["total"] for row in rows.annotate(total=Sum("amount"))}
