"""The writes of the payment service; each is one transaction, or a part of its caller's."""

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
from payment_app.domain import AUTHORIZATION_LIFETIME, State, TransactionKind, check_refund, payment_id
from payment_app.errors import ProviderDisagrees
from payment_app.ledger import Entry
from payment_app.models import Payment, Refund, RefundOutcome

AUTHORIZED = (
    "id", "order", "customer", "amount", "currency", "state", "provider_id", "captured", "refunded", "expires_at",
)  # fmt: skip
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class HeldAmount:
    """The provider holds `amount` minor units of `currency` for an order."""

    order: UUID
    customer: UUID
    amount: int
    currency: str
    provider_id: str


@transaction.atomic(savepoint=False)
def record_authorizations(*held: HeldAmount) -> list[Payment]:
    """Insert the payments of amounts that the provider holds; return them in the given order."""
    expires_at = timezone.now() + AUTHORIZATION_LIFETIME
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
    """Set an order's payment to voided; a repeat is harmless.

    Raises:
        ProviderDisagrees: the payment is captured, or there is none.
    """
    payments = Payment.objects.filter(order=order)
    if payments.filter(state=State.AUTHORIZED.value).update(state=State.VOIDED.value, updated_at=Now()):
        return
    if not payments.filter(state=State.VOIDED.value).exists():
        raise ProviderDisagrees(
            f"the provider voided for order {order}, whose payment is not authorized here"
        )


@transaction.atomic(savepoint=False)
def record_captures(amounts: Mapping[UUID, int]) -> None:
    """Set payments to captured and post the amounts to the ledger.

    Args:
        amounts: by payment, in minor units of its currency.

    Raises:
        ProviderDisagrees: a payment is not authorized here.
    """
    payments = list(
        Payment.objects.select_for_update()
        .filter(id__in=list(amounts), state=State.AUTHORIZED.value)
        .order_by("id")
    )
    if missing := amounts.keys() - {payment.id for payment in payments}:
        raise ProviderDisagrees(
            f"the provider captured {missing.pop()}, a payment that is not authorized here"
        )
    for payment in payments:
        payment.state, payment.captured = State.CAPTURED.value, amounts[payment.id]
        payment.updated_at = Now()
    entries = [
        Entry(
            kind=TransactionKind.CAPTURE,
            subject=payment.id,
            order=payment.order,
            amount=payment.captured,
            currency=payment.currency,
        )
        for payment in payments
    ]
    bulk.execute(
        *bulk.update_statement(Payment, payments, ["state", "captured", "updated_at"]),
        *ledger.make_statements(entries),
    )


@transaction.atomic
def reserve_refund(*, refund: UUID, order: UUID, amount: int, currency: str, key: UUID) -> Refund:
    """Set `amount` aside for a refund before the provider is called (rule 23, refunds); a repeat changes nothing.

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
        return _check_same_refund(row, payment=payment, amount=amount, key=key)
    # Condition and change are one statement, so that two refunds at once cannot promise more than was captured.
    fits = Payment.objects.filter(id=payment.id, captured__gte=F("refunded") + amount).update(
        refunded=F("refunded") + amount, updated_at=Now()
    )
    if not fits:
        raise Refused("refund_too_large", f"Less than {amount} minor units are left of what was captured.")
    ledger.post(make_refund_entry(row, TransactionKind.REFUND_PROMISED))
    return row


def _check_same_refund(row: Refund, *, payment: Payment, amount: int, key: UUID) -> Refund:
    if (row.payment_id, row.amount, row.key) != (payment.id, amount, key):
        raise Refused("refund_exists", "This refund's id was used for another refund; use a new id.")
    outcome = getattr(row, "outcome", None)
    if outcome and outcome.declined_code:
        raise Refused(outcome.declined_code, outcome.declined_reason)
    return row


@transaction.atomic(savepoint=False)
def record_refund_paid(*, refund: UUID, provider_id: str) -> Refund:
    """Record that the provider gave the money back, and post it to the ledger."""
    row = Refund.objects.select_related("payment").get(id=refund)
    RefundOutcome.objects.create(refund=row, provider_id=provider_id)
    ledger.post(make_refund_entry(row, TransactionKind.REFUND_PAID))
    return row


@transaction.atomic
def record_refund_declined(*, refund: UUID, code: str, reason: str) -> None:
    """Record that the provider declined a refund, and take the promise back; a repeat is harmless."""
    row = Refund.objects.select_related("payment").get(id=refund)
    _, made = RefundOutcome.objects.get_or_create(
        refund=row, defaults={"declined_code": code, "declined_reason": reason}
    )
    if not made:
        return
    Payment.objects.filter(id=row.payment_id).update(refunded=F("refunded") - row.amount, updated_at=Now())
    ledger.post(make_refund_entry(row, TransactionKind.REFUND_DECLINED))
    log.warning(
        "refund declined by the provider", order=str(row.payment.order), refund=str(refund), code=code
    )


def make_refund_entry(refund: Refund, kind: TransactionKind) -> Entry:
    payment = refund.payment
    return Entry(
        kind=kind, subject=refund.id, order=payment.order, amount=refund.amount, currency=payment.currency
    )
