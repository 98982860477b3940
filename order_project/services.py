"""The writes of the order service: each is one transaction, its outbox rows included."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Sum

from celery_config.common.identifiers import uuid7
from celery_config.common.money import money
from celery_config.contracts.order import OrderCancelled, OrderConfirmed
from celery_config.contracts.shipment import BookShipment, ShipmentArranged
from celery_config.db import bulk
from celery_config.db.functions import Now
from celery_config.messaging.outbox import writing
from celery_config.saga.course import read_fields
from celery_config.saga.dsl import Saga
from celery_config.saga.engine import starting
from order_project.domain import OrderStatus, RefundStatus
from order_project.errors import AmountNotPayable, NotRefundable
from order_project.models import Customer, Order, PayableCurrency, Refund

LONGEST_CODE = Order._meta.get_field("cancel_code").max_length


def confirm_orders(completed: Sequence[tuple[Any, Mapping[str, Any]]]) -> None:
    """Confirm orders whose every step is done. Runs in the transaction that completes their sagas."""
    steps = {
        step.name for saga in Saga.registry.values() for step in saga.steps if step.command is BookShipment
    }
    booking = {*steps, ShipmentArranged.wire_name()}
    tracking = {data.order: find_tracking_number(replies, booking) for data, replies in completed}
    orders = lock_open_orders(tracking)
    for order in orders:
        order.status, order.ended_at = OrderStatus.CONFIRMED, Now()
        order.tracking_number = tracking[order.pk]
    bulk.update(Order, orders, ["status", "ended_at", "tracking_number"])
    writing.add_events(
        writing.cloud_event(OrderConfirmed(order=data.order), subject=str(data.order))
        for data, _ in completed
    )


def find_tracking_number(replies: Mapping[str, Any], booking: Collection[str]) -> str:
    """Return that of the booking: another service may have put one into the reply of its own step.

    Args:
        booking: the names of the steps that book a shipment, and of the event that says so of a choreographed order.
    """
    booked = [read_fields(reply) for step, reply in replies.items() if step in booking]
    return str(next((each["tracking_number"] for each in booked if "tracking_number" in each), ""))


def cancel_orders(compensated: Sequence[tuple[Any, Mapping[str, str]]]) -> None:
    """Cancel orders of which nothing is left done. Runs in the transaction that ends their sagas."""
    causes = {
        data.order: (cause.get("code", "")[:LONGEST_CODE], cause.get("reason", "")[:500])
        for data, cause in compensated
    }
    orders = lock_open_orders(causes)
    for order in orders:
        order.status, order.ended_at = OrderStatus.CANCELLED, Now()
        order.cancel_code, order.cancel_reason = causes[order.pk]
    bulk.update(Order, orders, ["status", "ended_at", "cancel_code", "cancel_reason"])
    writing.add_events(
        writing.cloud_event(OrderCancelled(order=order, code=code, reason=reason), subject=str(order))
        for order, (code, reason) in causes.items()
    )


def lock_open_orders(ids: Iterable[UUID]) -> list[Order]:
    """Lock and return those of these orders that have not ended, sorted by id so that no two callers deadlock."""
    found = Order.objects.select_for_update().filter(pk__in=list(ids), status=OrderStatus.PLACED)
    return list(found.order_by("pk"))


@transaction.atomic
def request_refund(*, order: UUID, amount: int, reason: str, by: str, refund: UUID | None = None) -> Refund:
    """Commit a refund of `amount` (minor units of the order's currency) and the start of its saga.

    Args:
        refund: its id, if the caller chose one; the refund of the order that has it already is returned as it is.

    Raises:
        NotRefundable: the order is not confirmed, or all refunds together would exceed its total.
        AmountNotPayable: the payment provider gives back no such amount.
    """
    row = Order.objects.select_for_update().get(id=order)
    if refund and (made := row.refunds.filter(pk=refund).first()):
        return made
    before = row.refunds.exclude(status=RefundStatus.REFUSED).aggregate(sum=Sum("amount"))["sum"] or 0
    if row.status != OrderStatus.CONFIRMED:
        raise NotRefundable(f"Only a confirmed order can be refunded; this one is {row.status}.")
    if amount > (left := row.total - before):
        raise NotRefundable(
            f"The order cannot be refunded beyond its total: {money(left, row.currency)} of"
            f" {money(row.total, row.currency)} remain, and {money(amount, row.currency)} were asked for."
        )
    known = PayableCurrency.objects.filter(pk=row.currency, accepted=True).first()
    if known and amount % known.step:
        raise AmountNotPayable(f"A refund in {row.currency} must be a multiple of {known.step} minor units.")
    refund = refund or uuid7()
    saga = Saga.registry["refund-order", 1]
    data = saga.data(order=order, refund=refund, refund_amount=amount, currency=row.currency)
    (saga_id,) = starting.start_sagas(saga, [(order, data)])
    why = reason if row.customer_id else ""  # nothing personal is written about an erased customer
    return Refund.objects.create(id=refund, order=row, amount=amount, reason=why, by=by, saga=saga_id)


def mark_refunds_paid(completed: Sequence[tuple[Any, Mapping[str, Any]]]) -> None:
    """Mark refunds as paid. Runs in the transaction that completes their sagas."""
    ids = [data.refund for data, _ in completed]
    Refund.objects.filter(id__in=ids).update(status=RefundStatus.PAID)


def mark_refunds_refused(compensated: Sequence[tuple[Any, Mapping[str, str]]]) -> None:
    """Mark refunds as refused, with the cause. Runs in the transaction that ends their sagas."""
    for data, cause in compensated:
        detail = f"{cause.get('code', '')}: {cause.get('reason', '')}"[:500]
        refund = Refund.objects.filter(id=data.refund)
        refund.update(status=RefundStatus.REFUSED)
        refund.filter(order__customer__isnull=False).update(detail=detail)


def ensure_customer(user: Any) -> Customer:
    """Return the user's customer and create it if needed, in the caller's transaction."""
    customer, _ = Customer.objects.get_or_create(
        user=user, defaults={"name": user.get_full_name() or user.get_username(), "email": user.email}
    )
    return customer


def ensure_customers(references: Sequence[str]) -> dict[str, UUID]:
    """Create the customers that do not exist; return the ids of all by reference."""
    Customer.objects.bulk_create(
        [Customer(reference=r, name=f"Customer {r}") for r in references], ignore_conflicts=True
    )
    found = Customer.objects.filter(reference__in=references).values_list("reference", "id")
    return {str(reference): customer for reference, customer in found}
