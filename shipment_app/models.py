"""The tables of shipment: the shipments that the carrier booked, and the copy of customers' addresses."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from celery_config.copies.models import CopiedRow
from celery_config.db.functions import IdEnding, Now
from shipment_app.domain import ShipmentState


class DeliveryAddress(CopiedRow):
    """The copy of the order service's customers: where their parcels usually go."""

    customer = models.UUIDField(primary_key=True)
    delivery_address: models.JSONField[Any, Any] = models.JSONField(null=True, blank=True)

    class Meta:
        verbose_name = "delivery address (copy)"
        verbose_name_plural = "delivery addresses (copy)"

    def __str__(self) -> str:
        return str(self.customer)


class Shipment(models.Model):
    """An order's one shipment.

    The texts have no length limit: the row is written after the carrier has booked, when it must not fail.
    """

    id = models.UUIDField(primary_key=True)
    order = models.UUIDField(unique=True)
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in ShipmentState])
    carrier_id = models.TextField(unique=True, help_text="the carrier's id")
    tracking_number = models.TextField(db_index=True)
    name = models.TextField()
    line1 = models.TextField()
    city = models.TextField()
    postal_code = models.TextField()
    country = models.TextField(help_text="ISO 3166-1 alpha-2")
    # The defaults are the database's, too: the version before writes shipments without them.
    line2 = models.TextField(blank=True, default="", db_default="")
    region = models.TextField(blank=True, default="", db_default="")
    weight_grams = models.PositiveIntegerField()
    parcels = models.PositiveIntegerField()
    created_at = models.DateTimeField(db_default=Now(), db_index=True)
    updated_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["state", "-created_at"], name="shipment_by_state"),
            models.Index(IdEnding("order"), name="shipment_by_ending"),
        ]

    def __str__(self) -> str:
        return f"{self.tracking_number}: {self.state}"
