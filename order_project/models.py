"""The order service's tables. Money is in integer minor units."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from django.conf import settings
from django.db import models

from celery_config.common.email_address import validate_email_address
from celery_config.common.identifiers import abbreviate_id, uuid7
from celery_config.common.iso import validate_currency
from celery_config.copies.fields import KeyField
from celery_config.copies.models import CopiedRow, Published
from celery_config.db.functions import IdEnding, Now
from celery_config.saga.models import WatchedRow
from celery_config.saga.states import OPEN
from order_project.addresses import is_address, validate_address
from order_project.domain import Flow, OrderStatus, PriceSource, RefundStatus


class Customer(Published):
    id = models.UUIDField(primary_key=True, default=uuid7)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    reference = models.CharField(
        max_length=64, unique=True, null=True, blank=True, help_text="number in another system"
    )
    name = models.CharField(max_length=200)
    email = models.CharField(max_length=254, blank=True, validators=[validate_email_address])
    currency = models.CharField(
        max_length=3,
        blank=True,
        default="",
        db_default="",
        validators=[validate_currency],
        help_text="ISO 4217",
    )
    billing_address: models.JSONField[Any, Any] = models.JSONField(
        null=True, blank=True, validators=[validate_address]
    )
    delivery_address: models.JSONField[Any, Any] = models.JSONField(
        null=True, blank=True, validators=[validate_address]
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=is_address("billing_address"), name="customer_billing_address"),
            models.CheckConstraint(
                condition=is_address("delivery_address"), name="customer_delivery_address"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["-created_at"], name="customer_by_age"),
            models.Index(IdEnding("id"), name="customer_by_ending"),
        ]

    def __str__(self) -> str:
        return self.name


class CatalogueProduct(CopiedRow):
    """The order service's own copy of inventory's products."""

    sku = KeyField(primary_key=True, max_length=64)
    name = models.CharField(max_length=200)
    price = models.BigIntegerField(help_text="minor units")
    currency = models.CharField(max_length=3)
    weight_grams = models.PositiveIntegerField()
    active = models.BooleanField()

    class Meta:
        verbose_name = "product (copy)"
        verbose_name_plural = "products (copy)"

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"


class PayableCurrency(CopiedRow):
    """The copy of payment's currencies: what the payment provider takes. A missing row is not known yet."""

    currency = KeyField(primary_key=True, max_length=3)
    accepted = models.BooleanField()
    step = models.BigIntegerField(help_text="amounts are multiples of it, in minor units")

    class Meta:
        verbose_name = "currency (copy)"
        verbose_name_plural = "currencies (copy)"

    def __str__(self) -> str:
        return str(self.currency)


class Order(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7)
    customer = models.ForeignKey(
        Customer,
        on_delete=models.PROTECT,
        related_name="orders",
        db_index=False,  # `order_by_customer` begins with it
        null=True,
        blank=True,
        help_text="none: they were forgotten",
    )
    status = models.CharField(
        max_length=10, choices=[(s.value, s.value) for s in OrderStatus], default=OrderStatus.PLACED.value
    )
    currency = models.CharField(max_length=3)
    total = models.BigIntegerField(help_text="minor units")
    weight_grams = models.PositiveIntegerField()
    address = models.JSONField()
    saga = models.UUIDField(unique=True, null=True, blank=True, help_text="none: the order is choreographed")
    tracking_number = models.CharField(max_length=64, blank=True, default="")
    cancel_code = models.CharField(max_length=64, blank=True, default="")
    cancel_reason = models.CharField(max_length=500, blank=True, default="")
    reference = models.CharField(
        max_length=64, blank=True, default="", help_text="invoice number in another system"
    )
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(total__gt=0), name="order_costs_something"),
            models.UniqueConstraint(
                fields=["reference"], name="order_reference_once", condition=~models.Q(reference="")
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["-created_at"], name="order_by_age"),
            models.Index(fields=["customer", "-created_at"], name="order_by_customer"),
            models.Index(fields=["status", "-created_at"], name="order_by_status"),
            models.Index(IdEnding("id"), name="order_by_ending"),
            models.Index(
                fields=["tracking_number"], name="order_by_tracking", condition=~models.Q(tracking_number="")
            ),
            # For the sums by the minute, and the lists behind them.
            models.Index(
                fields=["ended_at"], name="order_by_end", condition=models.Q(ended_at__isnull=False)
            ),
        ]

    @property
    def flow(self) -> Flow:
        return Flow.ORCHESTRATED if self.saga else Flow.CHOREOGRAPHED

    def __str__(self) -> str:
        return f"order {abbreviate_id(self.id)}"


class Desk(Order):
    """The same rows, for the order desk."""

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = "order desk"
        default_permissions = ()
        permissions: ClassVar = [("use_desk", "Can place orders at the order desk")]


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    sku = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    quantity = models.PositiveIntegerField()
    unit_price = models.BigIntegerField(help_text="minor units")
    # The default is the database's, too: the version before writes lines without it.
    price_source = models.CharField(
        max_length=10,
        choices=[(s.value, s.value) for s in PriceSource],
        default=PriceSource.CATALOGUE.value,
        db_default=PriceSource.CATALOGUE.value,
    )

    class Meta:
        permissions: ClassVar = [("agree_price", "Can agree on a price other than the catalogue's")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["order", "sku", "unit_price", "price_source"], name="order_line_once_a_price"
            ),
            models.CheckConstraint(condition=models.Q(quantity__gt=0), name="order_line_has_quantity"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.sku}"


class Choreography(WatchedRow):
    """A choreographed order as the engine watches it: its status is derived from the events that were seen of it."""

    name = "place-order (choreographed)"

    order = models.OneToOneField(
        Order, primary_key=True, on_delete=models.CASCADE, related_name="choreography"
    )
    placed = models.JSONField(help_text="what was announced, to be announced again")
    failure = models.JSONField(default=dict, blank=True, help_text="why a service gave up last, and on what")

    class Meta:
        verbose_name = "choreographed order"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(due_at__isnull=False) | ~models.Q(status__in=[s.value for s in OPEN]),
                name="an_open_choreography_is_due_some_time",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["due_at"], name="choreography_due", condition=models.Q(due_at__isnull=False)
            ),
            models.Index(
                fields=["status"],
                name="choreography_unended",
                condition=~models.Q(status__in=["completed", "compensated"]),
            ),
            models.Index(
                fields=["hold", "order"],
                name="choreography_held",
                condition=models.Q(held_since__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"order {abbreviate_id(self.order_id)}"

    @cached_property
    def subject(self) -> str:
        return str(self.order_id)


class SeenEvent(models.Model):
    """What a service announced of a choreographed order; seen once, however often it is said."""

    choreography = models.ForeignKey(
        Choreography, on_delete=models.CASCADE, related_name="seen", db_index=False
    )
    kind = models.CharField(max_length=120, help_text="the event's type")
    content = models.JSONField(help_text="its plain values")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "seen event"
        ordering: ClassVar = ["at", "id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["choreography", "kind"], name="seen_once")]

    def __str__(self) -> str:
        return self.kind


class Refund(models.Model):
    """A requested refund; its saga carries it out (rule 23, refunds)."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="refunds")
    amount = models.BigIntegerField(help_text="minor units")
    reason = models.CharField(max_length=200)
    by = models.CharField(
        max_length=150,
        blank=True,
        default="",
        db_default="",
        help_text="who asked for it; empty: an older version",
    )
    status = models.CharField(
        max_length=8, choices=[(s.value, s.value) for s in RefundStatus], default=RefundStatus.ASKED.value
    )
    detail = models.CharField(max_length=500, blank=True, default="")
    saga = models.UUIDField(unique=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="refund_gives_something")
        ]
        indexes: ClassVar = [
            models.Index(fields=["-created_at"], name="refund_by_age"),
            models.Index(IdEnding("id"), name="refund_by_ending"),
        ]

    def __str__(self) -> str:
        return f"refund {abbreviate_id(self.id)}"


class OrderNote(models.Model):
    """What staff wrote down about an order. Append-only."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="notes")
    text = models.TextField(blank=True)
    by = models.CharField(max_length=150)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "note"
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"note by {self.by}"


class Erasure(models.Model):
    """The erasure of a customer in all services. The row stays as the proof."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    customer = models.UUIDField(unique=True, help_text="who it was; nothing leads from this id to a person")
    by = models.CharField(max_length=150, help_text="who asked for it")
    why = models.CharField(max_length=1000)
    open_sagas = models.PositiveIntegerField(help_text="of those that see to it")
    asked_at = models.DateTimeField(db_default=Now())
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["-asked_at"], name="erasure_by_age")]

    @property
    def status(self) -> str:
        return "under way" if self.open_sagas else "done"

    def __str__(self) -> str:
        return f"erasure {abbreviate_id(self.id)}"


class ErasureReceipt(models.Model):
    """The receipt of one service: how many rows it erased."""

    erasure = models.ForeignKey(Erasure, on_delete=models.PROTECT, related_name="receipts", db_index=False)
    service = models.CharField(max_length=40)
    rows: models.JSONField[Any, Any] = models.JSONField(
        default=dict, help_text="how many of each table told of them"
    )
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["at", "id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["erasure", "service"], name="receipt_once")]

    def __str__(self) -> str:
        return f"{self.service}: {sum(self.rows.values())} rows"
