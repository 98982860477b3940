"""The order service's admin."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display

from celery_config.api.admin import FactAdmin, FactInline
from celery_config.money import money
from order_project.models import CatalogueProduct, Customer, IdempotencyKey, Order, OrderLine, Refund


class LineInline(FactInline):
    model = OrderLine
    fields = ("sku", "name", "quantity", "price")
    readonly_fields = ("price",)

    def price(self, line: OrderLine) -> str:
        return money(line.unit_price, line.order.currency)


class RefundInline(FactInline):
    model = Refund
    fields = ("amount", "reason", "status", "detail", "created_at")


@admin.register(Order)
class OrderAdmin(FactAdmin):
    list_display = (
        "id",
        "state",
        "amount",
        "customer",
        "cancel_code",
        "tracking_number",
        "created_at",
        "saga_link",
    )
    list_filter = ("status", "currency", "cancel_code")
    list_select_related = ("customer",)
    search_fields = ("=id", "=saga", "=reference", "customer__email")
    search_help_text = "order id, saga id, invoice number or customer's email"
    ordering = ("-created_at",)
    inlines = (LineInline, RefundInline)

    @display(description="status", label={"placed": "info", "confirmed": "success", "cancelled": "warning"})
    def state(self, order: Order) -> str:
        return str(order.status)

    @display(description="total", ordering="total")
    def amount(self, order: Order) -> str:
        return money(order.total, order.currency)

    @display(description="saga")
    def saga_link(self, order: Order) -> str:
        return format_html(
            '<a href="{}">steps</a>', reverse("admin:saga_sagainstance_change", args=[order.saga])
        )


@admin.register(Customer)
class CustomerAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("name", "email", "reference", "created_at")
    search_fields = ("name", "email", "=reference", "=id")
    autocomplete_fields = ("user",)
    ordering = ("-created_at",)

    def has_delete_permission(self, request: HttpRequest, obj: Customer | None = None) -> bool:
        return False  # orders and ledgers refer to them


@admin.register(CatalogueProduct)
class CatalogueAdmin(FactAdmin):
    list_display = ("sku", "name", "price_text", "active", "version", "updated_at")
    list_filter = ("active", "currency")
    search_fields = ("=sku", "name")
    ordering = ("sku",)

    @display(description="price", ordering="price")
    def price_text(self, product: CatalogueProduct) -> str:
        return money(product.price, product.currency)


@admin.register(Refund)
class RefundAdmin(FactAdmin):
    list_display = ("id", "order", "amount", "status", "detail", "created_at")
    list_filter = ("status",)
    search_fields = ("=id", "=order__id")
    ordering = ("-created_at",)


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(FactAdmin):
    list_display = ("client", "key", "response", "created_at")
    search_fields = ("=key",)
    ordering = ("-id",)
