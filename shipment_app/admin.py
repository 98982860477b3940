"""The shipment admin: every row is a fact, so the pages show it and never edit it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from unfold.decorators import display

from celery_config.common.countries import name_country
from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.columns import (
    ADDRESS_LINES,
    column,
    id_column,
    join_address,
    label_column,
    table_column,
    weight_column,
)
from celery_config.web.lists import text_filter
from celery_config.web.order_rows import OrderRowAdmin, order_column
from shipment_app.models import DeliveryAddress, Shipment

COUNTRY = column("text", "country", "country", lambda shipment: name_country(shipment.country))
STATE = label_column("state", {"booked": "info", "cancelled": "warning", "dispatched": "success"})


@admin.register(Shipment)
class ShipmentAdmin(OrderRowAdmin):
    list_display = (
        "tracking_number", STATE, order_column(short=True), COUNTRY, weight_column("weight_grams"), "parcels",
        "created_at", "updated_at",
    )  # fmt: skip
    list_filter = ("state", text_filter("country"))
    search_ids = ("order",)
    search_endings = ("order",)
    search_fields = ("tracking_number__exact", "carrier_id__exact")
    search_help_text = "order id or its end, tracking number or the carrier's id"
    is_jumped_to = True
    ordering = ("-created_at",)
    fields = (
        "id", order_column(), "elsewhere", STATE, "carrier_id", "tracking_number", "deliver_to",
        weight_column("weight_grams"), "parcels", "created_at", "updated_at",
    )  # fmt: skip

    @display(description="address")
    def deliver_to(self, shipment: Shipment) -> Any:
        return join_address({part: getattr(shipment, part) for part in ADDRESS_LINES})


@admin.register(DeliveryAddress)
class DeliveryAddressAdmin(ReadOnlyAdmin):
    list_display = (id_column("customer"), "version", "changed_at")
    search_ids = ("customer",)
    search_help_text = "customer id"
    ordering = ("customer",)
    fields = ("customer", table_column("delivery_address"), "version", "changed_at", "applied_at")
