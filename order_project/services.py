"""The writes of the order service; each is one transaction, outbox row included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Sum

from celery_config.common.identifiers import uuid7
from celery_config.contracts.order import OrderCancelled, OrderConfirmed
from celery_config.db import bulk
from celery_config.db.functions import Now
from celery_config.messaging.outbox import writing
from celery_config.saga.dsl import Saga
from celery_config.saga.engine import starting
from order_project.domain import OrderStatus, RefundStatus
from order_project.errors import NotRefundable
from order_project.models import Customer, Order, Refund


def confirm_orders(completed: Sequence[tuple[Any, Mapping[str, Any]]]) -> None:
    """Every step is done. Called in the transaction that completes the sagas."""
    tracking = {
        data.order: next((r["tracking_number"] for r in replies.values() if "tracking_number" in r), "")
        for data, replies in completed
    }
    orders = open_orders(tracking)
    for order in orders:
        order.status, order.ended_at = OrderStatus.CONFIRMED, Now()
        order.tracking_number = tracking[order.pk]
    bulk.update(Order, orders, ["status", "ended_at", "tracking_number"])
    writing.add_events(
        writing.cloud_event(OrderConfirmed(order=data.order), subject=str(data.order))
        for data, _ in completed
    )


def cancel_orders(compensated: Sequence[tuple[Any, Mapping[str, str]]]) -> None:
    """Nothing is left done. Called in the transaction that closes the sagas as compensated."""
    causes = {
        data.order: (cause.get("code", ""), cause.get("reason", "")[:500]) for data, cause in compensated
    }
    orders = open_orders(causes)
    for order in orders:
        order.status, order.ended_at = OrderStatus.CANCELLED, Now()
        order.cancel_code, order.cancel_reason = causes[order.pk]
    bulk.update(Order, orders, ["status", "ended_at", "cancel_code", "cancel_reason"])
    writing.add_events(
        writing.cloud_event(OrderCancelled(order=order, code=code, reason=reason), subject=str(order))
        for order, (code, reason) in causes.items()
    )


def open_orders(ids: Iterable[UUID]) -> list[Order]:
    """Those of these orders that have not ended, locked in the one order."""
    found = Order.objects.select_for_update().filter(pk__in=list(ids), status=OrderStatus.PLACED)
    return list(found.order_by("pk"))


@transaction.atomic
def ask_for_refund(*, order: UUID, amount: int, reason: str) -> Refund:
    """Start the saga that gives `amount` (minor units of the order's currency) back.

    Raises:
        NotRefundable: the order is not confirmed, or all refunds together would exceed its total.
    """
    row = Order.objects.select_for_update().get(id=order)
    before = row.refunds.exclude(status=RefundStatus.REFUSED).aggregate(sum=Sum("amount"))["sum"] or 0
    if row.status != OrderStatus.CONFIRMED or before + amount > row.total:
        raise NotRefundable
    refund = uuid7()
    saga = Saga.registry["refund-order", 1]
    data = saga.data(order=order, refund=refund, refund_amount=amount, currency=row.currency)
    saga_id = starting.start_saga(saga, data, subject=order)
    why = reason if row.customer_id else ""  # of whom was forgotten nothing is written down again
    return Refund.objects.create(id=refund, order=row, amount=amount, reason=why, saga=saga_id)


def close_refunds(completed: Sequence[tuple[Any, Mapping[str, Any]]]) -> None:
    """The money is back. Called in the transaction that completes the sagas."""
    ids = [data.refund for data, _ in completed]
    Refund.objects.filter(id__in=ids).update(status=RefundStatus.PAID)


def refuse_refunds(compensated: Sequence[tuple[Any, Mapping[str, str]]]) -> None:
    """They were refused. Called in the transaction that closes the sagas."""
    for data, cause in compensated:
        detail = f"{cause.get('code', '')}: {cause.get('reason', '')}"[:500]
        refund = Refund.objects.filter(id=data.refund)
        refund.update(status=RefundStatus.REFUSED)
        refund.filter(order__customer__isnull=False).update(detail=detail)


def make_customer(user: Any) -> Customer:
    """The customer that a user is from now on. Call it in the transaction that needs it."""
    customer, _ = Customer.objects.get_or_create(
        user=user, defaults={"name": user.get_full_name() or user.get_username(), "email": user.email}
    )
    return customer


def put_customers(references: Sequence[str]) -> dict[str, UUID]:
    """Make the customers that do not exist and return the ids of all by their reference."""
    Customer.objects.bulk_create(
        [Customer(reference=r, name=f"Customer {r}") for r in references], ignore_conflicts=True
    )
    found = Customer.objects.filter(reference__in=references).values_list("reference", "id")
    return {str(reference): customer for reference, customer in found}
