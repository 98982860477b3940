"""The reads of the payment service."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, Sum

from celery_config.messaging.decisions import Action, Undo
from celery_config.messaging.models import BarrierRow
from payment_app.domain import AccountCode
from payment_app.models import Account, LedgerTransaction, Payment, Posting, Refund


def payment_of(order: UUID) -> Payment | None:
    return Payment.objects.filter(order=order).first()


def ledger_transactions() -> QuerySet[LedgerTransaction]:
    """With their postings and accounts."""
    return LedgerTransaction.objects.prefetch_related("postings__account")


def balances() -> list[dict[str, Any]]:
    """The balance of every account, in minor units; a debit is positive."""
    rows = Account.objects.annotate(balance=Sum("postings__amount", default=0)).order_by("currency", "code")
    return list(rows.values("code", "currency", "balance"))


def unbalanced(orders: Collection[UUID] | None = None) -> QuerySet[LedgerTransaction]:
    """Ledger transactions (of these orders, or all) without postings or not zero in some currency: none, ever."""
    transactions, postings = LedgerTransaction.objects.all(), Posting.objects.all()
    if orders is not None:
        transactions = transactions.filter(order__in=orders)
        postings = postings.filter(transaction__order__in=orders)
    wrong = postings.values("transaction", "account__currency").annotate(total=Sum("amount")).exclude(total=0)
    return transactions.filter(Q(id__in=wrong.values("transaction")) | Q(postings__isnull=True)).distinct()


def totals() -> dict[str, Any]:
    """Of the whole ledger: the sum of all postings per currency, and how many transactions do not balance."""
    sums: dict[str, int] = {}
    for row in balances():
        sums[row["currency"]] = sums.get(row["currency"], 0) + row["balance"]
    return {"ledger_sums": sums, "unbalanced_transactions": unbalanced().count()}


def facts(orders: Collection[UUID]) -> dict[str, dict[str, Any]]:
    """What payment did for each of the orders, by order id; an order without a payment has state `none`."""
    payments = {payment.order: payment for payment in Payment.objects.filter(order__in=orders)}
    promised = dict(
        Refund.objects.filter(payment__order__in=orders, outcome__isnull=True)
        .values("payment__order")
        .annotate(total=Sum("amount"))
        .values_list("payment__order", "total")
    )
    sales = _sales(orders)
    broken = set(unbalanced(orders).values_list("order", flat=True))
    captures = dict(
        LedgerTransaction.objects.filter(order__in=orders, booking="capture")
        .values("order")
        .annotate(n=Count("id"))
        .values_list("order", "n")
    )
    return {
        str(order): _fact(order, payments.get(order), promised.get(order, 0))
        | {
            "captures": captures.get(order, 0),
            "ledger_sum_ok": order not in broken and sales.get(order, 0) == _net(payments.get(order)),
        }
        for order in orders
    }


def _fact(order: UUID, payment: Payment | None, promised: int) -> dict[str, Any]:
    """`refunded` is paid back or promised; `refunds_open` is the part the provider has not confirmed yet."""
    if payment is None:
        return {"order": str(order), "state": "none", "amount": 0, "currency": None, "captured": 0, "refunded": 0,
                "refunds_open": 0}  # fmt: skip
    return {
        "order": str(order),
        "payment": str(payment.id),
        "provider_id": payment.provider_id,
        "state": payment.state,
        "amount": payment.amount,
        "currency": payment.currency,
        "captured": payment.captured,
        "refunded": payment.refunded,
        "refunds_open": promised,
    }


def _net(payment: Payment | None) -> int:
    return payment.captured - payment.refunded if payment else 0


def _sales(orders: Collection[UUID]) -> dict[UUID, int]:
    """What the ledger says was earned with each order, in minor units."""
    rows = (
        Posting.objects.filter(transaction__order__in=orders, account__code=AccountCode.SALES.value)
        .values(order=F("transaction__order"))
        .annotate(total=Sum("amount"))
    )
    return {row["order"]: -row["total"] for row in rows}


def orders_under_way() -> set[UUID]:
    """Orders for which a call to the provider may be under way."""
    rows = BarrierRow.objects.filter(Q(action=Action.INTENT.value) | Q(undo=Undo.INTENT.value))
    return {UUID(request["order"]) for request in rows.values_list("request", flat=True) if request}
