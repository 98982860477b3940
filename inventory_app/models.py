"""The tables of inventory: quantities in whole units, prices in minor units, weights in grams."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from celery_config.common.identifiers import abbreviate_id
from celery_config.common.iso import validate_currency
from celery_config.contracts.inventory import MAX_NAME, MAX_PRICE, MAX_SKU, SKU_PATTERN
from celery_config.copies.fields import KeyField
from celery_config.copies.models import CopiedRow, Published
from celery_config.db.functions import IdEnding, Now
from inventory_app import domain
from inventory_app.domain import Change, ReservationState

validate_sku = RegexValidator(
    SKU_PATTERN, "Not a SKU: no slash, no space at an end, nothing that cannot be seen, not “.” or “..”."
)


class Product(Published):
    """A product of the catalogue. Its SKU never changes; rows are locked in the order of their SKUs."""

    sku = KeyField(
        "SKU",
        primary_key=True,
        max_length=MAX_SKU,
        validators=[validate_sku],
    )
    name = models.CharField(max_length=MAX_NAME)
    price = models.BigIntegerField(
        help_text="in minor units of the currency",
        validators=[MinValueValidator(0), MaxValueValidator(MAX_PRICE)],
    )
    currency = models.CharField(max_length=3, validators=[validate_currency], help_text="ISO 4217")
    weight_grams = models.PositiveIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(domain.MAX_WEIGHT_GRAMS)]
    )
    active = models.BooleanField(default=True, db_index=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(price__gte=0), name="product_price_not_negative"),
            models.CheckConstraint(condition=Q(weight_grams__gte=1), name="product_has_weight"),
        ]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"


class Price(models.Model):
    """A price that a product has or had. A trigger writes it, however the product is changed; append-only."""

    # No foreign key: an order of a product that is deleted is judged, too.
    sku = models.CharField(max_length=MAX_SKU, db_index=True)
    amount = models.BigIntegerField(help_text="in minor units of the product's currency")
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.sku}: {self.amount}"


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


class Stock(models.Model):
    """The stock of one product. The constraints make overselling impossible."""

    product = models.OneToOneField(Product, primary_key=True, on_delete=models.PROTECT)
    on_hand = models.BigIntegerField(default=0)
    reserved = models.BigIntegerField(default=0, help_text="of those on hand, held for orders")
    opening = models.BigIntegerField(null=True, blank=True, help_text="set once; empty: not yet")

    class Meta:
        verbose_name_plural = "stock"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(on_hand__gte=0), name="stock_not_negative"),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="stock_reserved_not_negative"),
            models.CheckConstraint(condition=Q(reserved__lte=F("on_hand")), name="stock_not_oversold"),
        ]

    def __str__(self) -> str:
        return f"{self.product_id}: {self.on_hand} on hand, {self.reserved} reserved"


class Reservation(models.Model):
    """The stock that one order holds or held. Only the order's saga ends it (rule 9, no timers of participants)."""

    id = models.UUIDField(primary_key=True)
    order = models.UUIDField(unique=True)
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in ReservationState])
    created_at = models.DateTimeField(db_default=Now(), db_index=True)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["state", "-created_at"], name="reservation_by_state"),
            models.Index(IdEnding("order"), name="reservation_by_ending"),
        ]

    def __str__(self) -> str:
        return f"reservation of order {abbreviate_id(self.order)}: {self.state}"


class ReservationLine(models.Model):
    # Own indexes, since Django's would bring a second one each for LIKE, written with every order.
    reservation = models.ForeignKey(
        Reservation, on_delete=models.PROTECT, related_name="lines", db_index=False
    )
    product = models.ForeignKey(Product, on_delete=models.PROTECT, db_index=False)
    quantity = models.BigIntegerField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["product"], name="reservation_line_by_product")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["reservation", "product"], name="reservation_line_once"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="reservation_line_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product_id}"


class Movement(models.Model):
    """One change of one product's stock. Append-only."""

    product = models.ForeignKey(Product, on_delete=models.PROTECT, db_index=False)
    kind = models.CharField(max_length=8, choices=[(c.value, c.value) for c in Change])
    quantity = models.BigIntegerField(help_text="units; negative only in an adjustment")
    order = models.UUIDField(null=True, blank=True, db_index=True)
    on_hand = models.BigIntegerField(help_text="afterwards")
    reserved = models.BigIntegerField(help_text="afterwards")
    adjustment = models.UUIDField(null=True, blank=True, help_text="its id, chosen by the caller")
    reason = models.CharField(max_length=200, blank=True, default="")
    by = models.CharField(
        max_length=150, blank=True, default="", db_default="", help_text="who did it, if it was no order"
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar = [models.Index(fields=["product", "id"], name="movement_by_product")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(quantity__gte=1) | Q(kind=Change.ADJUST) | Q(kind=Change.OPENING, quantity=0),
                name="movement_positive",
            ),
            models.UniqueConstraint(
                fields=["adjustment"], condition=Q(adjustment__isnull=False), name="movement_adjusts_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.quantity} x {self.product_id}"
