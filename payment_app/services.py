"""The writes of the payment service; each is one transaction, or part of its caller's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from celery_config.db import bulk
from celery_config.db.functions import Now
from celery_config.errors import Refused
from payment_app import ledger
from payment_app.domain import AUTHORIZATION_LASTS, Booking, State, check_refund, payment_id
from payment_app.errors import BooksDisagree
from payment_app.ledger import Entry
from payment_app.models import Payment, Refund, RefundOutcome

AUTHORIZED = (
    "id", "order", "customer", "amount", "currency", "state", "provider_id", "captured", "refunded", "expires_at",
)  # fmt: skip
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Held:
    """What the provider holds for an order: `amount` minor units of `currency`."""

    order: UUID
    customer: UUID
    amount: int
    currency: str
    provider_id: str


@transaction.atomic(savepoint=False)
def record_authorizations(*held: Held) -> list[Payment]:
    """Write down what the provider holds for orders; return their payments, in that order."""
    expires_at = timezone.now() + AUTHORIZATION_LASTS
    payments = [
        Payment(
            id=payment_id(each.order), state=State.AUTHORIZED.value, expires_at=expires_at, **asdict(each)
        )
        for each in held
    ]
    bulk.insert(Payment, payments, AUTHORIZED)
    return payments


@transaction.atomic(savepoint=False)
def record_void(*, order: UUID) -> None:
    """Write down that the provider let the money go; a repeat is harmless.

    Raises:
        BooksDisagree: by our rows the money was taken.
    """
    payments = Payment.objects.filter(order=order)
    if payments.filter(state=State.AUTHORIZED.value).update(state=State.VOIDED.value, updated_at=Now()):
        return
    if not payments.filter(state=State.VOIDED.value).exists():
        raise BooksDisagree(f"the provider voided for order {order}, whose payment is not authorized here")


@transaction.atomic(savepoint=False)
def record_captures(amounts: Mapping[UUID, int]) -> None:
    """Write down that the provider took money, and book it.

    Args:
        amounts: by payment, in minor units of its currency.

    Raises:
        BooksDisagree: by our rows there was nothing to take.
    """
    payments = list(
        Payment.objects.select_for_update()
        .filter(id__in=list(amounts), state=State.AUTHORIZED.value)
        .order_by("id")
    )
    if missing := amounts.keys() - {payment.id for payment in payments}:
        raise BooksDisagree(f"the provider captured {missing.pop()}, a payment that is not authorized here")
    for payment in payments:
        payment.state, payment.captured = State.CAPTURED.value, amounts[payment.id]
        payment.updated_at = Now()
    entries = [
        Entry(
            booking=Booking.CAPTURE,
            subject=payment.id,
            order=payment.order,
            amount=amounts[payment.id],
            currency=payment.currency,
        )
        for payment in payments
    ]
    bulk.execute(
        *bulk.update_statement(Payment, payments, ["state", "captured", "updated_at"]),
        *ledger.post_statements(entries),
    )


@transaction.atomic
def promise_refund(*, refund: UUID, order: UUID, amount: int, currency: str, key: UUID) -> Refund:
    """Set `amount` aside for a refund before the provider is asked; a repeat finds it set aside (rule 23).

    Args:
        key: idempotency key of the call that will follow.

    Raises:
        Refused: there is nothing, or not enough, to give back; or the provider declined this refund before.
    """
    payment = Payment.objects.filter(order=order).first()
    check_refund(
        state=State(payment.state) if payment else None,
        payment_currency=payment.currency if payment else "",
        amount=amount,
        currency=currency,
    )
    assert payment is not None
    row, made = Refund.objects.select_related("outcome").get_or_create(
        id=refund, defaults={"payment": payment, "amount": amount, "key": key}
    )
    if not made:
        return _same_refund(row, payment=payment, amount=amount, key=key)
    # The condition and the change are one statement: of two refunds at once only what fits is promised.
    fits = Payment.objects.filter(id=payment.id, captured__gte=F("refunded") + amount).update(
        refunded=F("refunded") + amount, updated_at=Now()
    )
    if not fits:
        raise Refused("refund_too_large", f"Less than {amount} minor units are left of what was captured.")
    ledger.post(
        Entry(booking=Booking.REFUND_PROMISED, subject=refund, order=order, amount=amount, currency=currency)
    )
    return row


def _same_refund(row: Refund, *, payment: Payment, amount: int, key: UUID) -> Refund:
    if (row.payment_id, row.amount, row.key) != (payment.id, amount, key):
        raise Refused("refund_exists", "This refund's id was used for another refund; use a new id.")
    outcome = getattr(row, "outcome", None)
    if outcome and outcome.declined_code:
        raise Refused(outcome.declined_code, outcome.declined_reason)
    return row


@transaction.atomic(savepoint=False)
def record_refund_paid(*, refund: UUID, provider_id: str) -> Refund:
    """Write down that the provider gave the money back, and book it."""
    row = Refund.objects.select_related("payment").get(id=refund)
    RefundOutcome.objects.create(refund=row, provider_id=provider_id)
    ledger.post(refund_entry(row, Booking.REFUND_PAID))
    return row


@transaction.atomic
def record_refund_declined(*, refund: UUID, code: str, reason: str) -> None:
    """Write down the provider's no and take the promise back; a repeat is harmless."""
    row = Refund.objects.select_related("payment").get(id=refund)
    _, made = RefundOutcome.objects.get_or_create(
        refund=row, defaults={"declined_code": code, "declined_reason": reason}
    )
    if not made:
        return
    Payment.objects.filter(id=row.payment_id).update(refunded=F("refunded") - row.amount, updated_at=Now())
    ledger.post(refund_entry(row, Booking.REFUND_DECLINED))
    log.warning(
        "refund declined by the provider", order=str(row.payment.order), refund=str(refund), code=code
    )


def refund_entry(refund: Refund, booking: Booking) -> Entry:
    """What the ledger is told of a refund."""
    payment = refund.payment
    return Entry(
        booking=booking,
        subject=refund.id,
        order=payment.order,
        amount=refund.amount,
        currency=payment.currency,
    )
