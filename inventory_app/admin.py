"""The inventory service's admin. Products are changed here through the same service as in the API."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from celery_config.api.admin import FactAdmin, FactInline
from celery_config.money import money
from inventory_app import services
from inventory_app.domain import ProductData
from inventory_app.models import Movement, Product, Reservation, ReservationLine, Stock

STATES = {"held": "info", "released": "warning", "committed": "success"}


@admin.register(Product)
class ProductAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("sku", "name", "price_text", "weight_grams", "active", "version", "updated_at")
    list_filter = ("active", "currency")
    search_fields = ("sku", "name")
    ordering = ("sku",)
    show_full_result_count = False
    fields = (*services.PRODUCT_FIELDS, "version", "created_at", "updated_at")
    readonly_fields = ("version", "created_at", "updated_at")

    @display(description="price", ordering="price")
    def price_text(self, product: Product) -> str:
        return money(product.price, product.currency)

    def get_fields(self, request: HttpRequest, obj: Product | None = None) -> Any:
        return self.fields if obj else ("sku", *services.PRODUCT_FIELDS)

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:
        names = ("sku", *services.PRODUCT_FIELDS)
        services.put_products(products=[ProductData(**{name: getattr(obj, name) for name in names})])

    def has_delete_permission(self, request: HttpRequest, obj: Product | None = None) -> bool:
        return False  # orders and movements refer to it; make it inactive instead


@admin.register(Stock)
class StockAdmin(FactAdmin):
    list_display = ("product", "on_hand", "reserved", "available", "opening")
    list_select_related = ("product",)
    search_fields = ("=product__sku", "product__name")
    search_help_text = "SKU or name"
    ordering = ("product_id",)

    @display(description="available")
    def available(self, stock: Stock) -> int:
        return stock.on_hand - stock.reserved


class LineInline(FactInline):
    model = ReservationLine
    fields = ("product", "quantity")
    ordering = ("product_id",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("product")


@admin.register(Reservation)
class ReservationAdmin(FactAdmin):
    list_display = ("order", "labelled", "created_at", "updated_at")
    list_filter = ("state",)
    search_fields = ("=order", "=id")
    search_help_text = "order id or reservation id"
    ordering = ("-created_at",)
    inlines = (LineInline,)

    @display(description="state", label=STATES, ordering="state")
    def labelled(self, reservation: Reservation) -> str:
        return str(reservation.state)


@admin.register(Movement)
class MovementAdmin(FactAdmin):
    list_display = ("created_at", "product_id", "kind", "quantity", "on_hand", "reserved", "order", "reason")
    list_filter = ("kind",)
    search_fields = ("=product__sku", "=order", "=adjustment")
    search_help_text = "SKU, order id or adjustment id"
    ordering = ("-id",)
