"""The shipment service's admin."""

from __future__ import annotations

from django.contrib import admin
from unfold.decorators import display

from celery_config.api.admin import FactAdmin
from shipment_app.models import Shipment

STATES = {"booked": "info", "cancelled": "warning", "dispatched": "success"}


@admin.register(Shipment)
class ShipmentAdmin(FactAdmin):
    list_display = (
        "tracking_number", "labelled", "order", "country", "weight_grams", "parcels",
        "created_at", "updated_at",
    )  # fmt: skip
    list_filter = ("state", "country")
    search_fields = ("=order", "=tracking_number", "=carrier_id")
    search_help_text = "order id, tracking number or the carrier's id"
    ordering = ("-created_at",)

    @display(description="state", label=STATES, ordering="state")
    def labelled(self, shipment: Shipment) -> str:
        return str(shipment.state)
