"""The tables of payment: money in integer minor units; the refunds and the ledger are append-only."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q

from celery_config.common.identifiers import abbreviate_id
from celery_config.copies.fields import KeyField
from celery_config.copies.models import CopiedRow, Published
from celery_config.db.functions import IdEnding, Now
from payment_app.domain import AccountCode, State, TransactionKind


class BillingCustomer(CopiedRow):
    """The copy of the order service's customers: who pays."""

    customer = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=200)
    email = models.CharField(max_length=254)
    currency = models.CharField(max_length=3)
    billing_address: models.JSONField[Any, Any] = models.JSONField(null=True, blank=True)

    class Meta:
        verbose_name = "customer (copy)"
        verbose_name_plural = "customers (copy)"

    def __str__(self) -> str:
        return self.name


class Currency(Published):
    """What the provider takes of one currency of ISO 4217; the relay writes it from the gateway's table."""

    currency = KeyField(primary_key=True, max_length=3)
    accepted = models.BooleanField()
    step = models.BigIntegerField(help_text="amounts are multiples of it, in minor units")

    class Meta:
        verbose_name_plural = "currencies"

    def __str__(self) -> str:
        return str(self.currency)


class Payment(models.Model):
    """An order's one payment."""

    id = models.UUIDField(primary_key=True)
    order = models.UUIDField(unique=True)
    customer = models.UUIDField(null=True, blank=True, help_text="empty: the customer was erased")
    amount = models.BigIntegerField(help_text="authorized, in minor units")
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in State])
    provider_id = models.CharField(max_length=255, unique=True, help_text="the provider's id")
    captured = models.BigIntegerField(default=0, help_text="minor units")
    refunded = models.BigIntegerField(default=0, help_text="paid or promised back, in minor units")
    expires_at = models.DateTimeField(help_text="when the provider releases what was not captured")
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="payment_of_something"),
            models.CheckConstraint(condition=Q(refunded__gte=0), name="payment_refunded_not_negative"),
            models.CheckConstraint(
                condition=Q(refunded__lte=F("captured")), name="payment_refunded_was_captured"
            ),
            models.CheckConstraint(
                condition=Q(captured__lte=F("amount")), name="payment_captured_was_authorized"
            ),
            models.CheckConstraint(
                condition=Q(state=State.CAPTURED.value, captured__gt=0)
                | Q(state__in=[State.AUTHORIZED.value, State.VOIDED.value], captured=0),
                name="payment_state_fits",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["-created_at"], name="payment_by_age"),
            models.Index(fields=["state", "-created_at"], name="payment_by_state"),
            models.Index(fields=["customer"], name="payment_by_customer"),
            models.Index(IdEnding("order"), name="payment_by_order_ending"),
            models.Index(IdEnding("id"), name="payment_by_ending"),
        ]

    def __str__(self) -> str:
        return f"payment of order {abbreviate_id(self.order)}"


class Refund(models.Model):
    """Money promised back. Append-only; its outcome is a row of its own."""

    id = models.UUIDField(primary_key=True)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    amount = models.BigIntegerField(help_text="minor units")
    key = models.UUIDField(unique=True, help_text="idempotency key at the provider")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="refund_of_something")
        ]
        indexes: ClassVar = [
            models.Index(fields=["-created_at"], name="refund_by_age"),
            models.Index(IdEnding("id"), name="refund_by_ending"),
        ]

    def __str__(self) -> str:
        return f"refund {abbreviate_id(self.id)}"


class RefundOutcome(models.Model):
    """The provider's answer to a refund. Append-only."""

    refund = models.OneToOneField(Refund, primary_key=True, on_delete=models.PROTECT, related_name="outcome")
    provider_id = models.CharField(max_length=255, blank=True, help_text="the provider's id, if paid")
    declined_code = models.CharField(max_length=100, blank=True)
    declined_reason = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(provider_id="") ^ Q(declined_code=""), name="refund_paid_or_declined"
            )
        ]

    def __str__(self) -> str:
        return f"declined: {self.declined_code}" if self.declined_code else "paid"


class Account(models.Model):
    """One account of the ledger in one currency."""

    code = models.CharField(max_length=20, choices=[(c.value, c.value) for c in AccountCode])
    currency = models.CharField(max_length=3)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["code", "currency"], name="account_once")]

    def __str__(self) -> str:
        return f"{self.code} {self.currency}"


class LedgerTransaction(models.Model):
    """Postings that belong together; they sum to zero in each currency. Append-only."""

    id = models.UUIDField(primary_key=True)
    booking = models.CharField(max_length=20, choices=[(b.value, b.value) for b in TransactionKind])
    order = models.UUIDField(db_index=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar = [models.Index(fields=["-created_at"], name="ledger_by_age")]

    def __str__(self) -> str:
        return f"{self.booking} of order {abbreviate_id(self.order)}"


class Posting(models.Model):
    """One signed amount on one account: a debit is positive, a credit negative. Append-only."""

    transaction = models.ForeignKey(LedgerTransaction, on_delete=models.PROTECT, related_name="postings")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="postings", db_index=False)
    amount = models.BigIntegerField(help_text="minor units")

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=~Q(amount=0), name="posting_of_something")]
        indexes: ClassVar = [models.Index(fields=["account", "amount"], name="posting_by_account")]

    def __str__(self) -> str:
        return f"{self.amount} on account {self.account_id}"
