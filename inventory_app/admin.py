"""The inventory admin: products are changed through the same service as in the API; the rest is read-only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest

from celery_config.web.admin import ReadOnlyAdmin, ReadOnlyInline, ServiceAdmin
from celery_config.web.columns import (
    column,
    id_column,
    label_column,
    money_column,
    number_column,
    weight_column,
)
from celery_config.web.lists import text_filter
from celery_config.web.order_rows import OrderRowAdmin, order_column
from celery_config.web.search import find_keys, match_ending
from inventory_app import domain, selectors, services
from inventory_app.board import LOW
from inventory_app.domain import ProductData
from inventory_app.models import Movement, PayableCurrency, Product, Reservation, ReservationLine, Stock

SHOWN_PRICE = money_column("price", "price as shown")
SKU = column("sku", "product_id", "product", lambda movement: movement.product_id)
QUANTITY = number_column("quantity")
LEVELS = tuple(map(number_column, ("on_hand", "reserved", "available", "opening")))
STATE = label_column("state", {"held": "info", "released": "warning", "committed": "success"})


def warn_of_payment(product: Product) -> str:
    payable = selectors.read_payable(product.currency).get(product.currency)
    return domain.explain_payment_fault(product.price, product.currency, payable)


PAYMENT = column(
    "payment", "currency", "payment", lambda product: warn_of_payment(product) or "no fault known"
)


@admin.register(Product)
class ProductAdmin(ServiceAdmin):
    list_display = (
        "sku",
        "name",
        money_column("price"),
        weight_column("weight_grams"),
        "active",
        "version",
        "updated_at",
    )
    list_filter = ("active", text_filter("currency"))
    search_fields = ("sku__icontains", "name__icontains")
    search_help_text = "SKU or name"
    ordering = ("sku",)
    fields = (*services.PRODUCT_FIELDS, SHOWN_PRICE, PAYMENT, "version", "created_at", "updated_at")
    readonly_fields = (SHOWN_PRICE, PAYMENT, "version", "created_at", "updated_at")

    def get_fields(self, request: HttpRequest, obj: Product | None = None) -> Any:
        return self.fields if obj else ("sku", *services.PRODUCT_FIELDS)

    def get_form(self, request: HttpRequest, obj: Product | None = None, *given: Any, **options: Any) -> Any:
        options["labels"] = {"weight_grams": "Weight in grams"}
        options["help_texts"] = {"price": "in minor units of the currency: 1450 is €14.50"}
        return super().get_form(request, obj, *given, **options)

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:
        names = ("sku", *services.PRODUCT_FIELDS)
        product = ProductData(**{name: getattr(obj, name) for name in names})
        services.put_products(products=[product], by=request.user.get_username())
        if warning := warn_of_payment(obj):
            self.message_user(request, f"{obj.sku}: {warning}.", messages.WARNING)

    def has_delete_permission(self, request: HttpRequest, obj: Product | None = None) -> bool:
        return False  # orders and movements refer to the product; make it inactive instead


class LeftFilter(admin.SimpleListFilter):
    """Products on sale of which few units can still be ordered."""

    title = "units left"
    parameter_name = "left"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("low", f"{LOW} or fewer"), ("none", "sold out")]

    def queryset(self, request: HttpRequest, stock: QuerySet[Stock]) -> QuerySet[Stock]:
        most = {"low": LOW, "none": 0}.get(self.value() or "")
        if most is None:
            return stock
        return stock.filter(on_hand__lte=F("reserved") + most, product__active=True)


@admin.register(Stock)
class StockAdmin(ReadOnlyAdmin):
    list_filter = (LeftFilter,)
    list_display = ("product", *LEVELS)
    list_select_related = ("product",)
    search_fields = ("product__sku__icontains", "product__name__icontains")
    search_help_text = "SKU or name"
    ordering = ("product_id",)
    fields = ("product", *LEVELS)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(available=F("on_hand") - F("reserved"))


class LineInline(ReadOnlyInline):
    model = ReservationLine
    fields = ("product", QUANTITY)
    ordering = ("product_id",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("product")


@admin.register(Reservation)
class ReservationAdmin(OrderRowAdmin):
    list_display = (id_column("order"), STATE, "created_at", "updated_at")
    list_filter = ("state",)
    search_ids = ("order", "id")
    search_endings = ("order",)
    search_help_text = "order id or its end, or reservation id"
    is_jumped_to = True
    ordering = ("-created_at",)
    inlines = (LineInline,)
    fields = ("id", order_column(), "elsewhere", STATE, "created_at", "updated_at")


@admin.register(Movement)
class MovementAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at", SKU, "kind", QUANTITY, number_column("on_hand"), number_column("reserved"),
        order_column(short=True), "reason", "by",
    )  # fmt: skip
    list_filter = ("kind",)
    search_ids = ("order", "adjustment")
    search_fields = ("product__exact",)
    search_help_text = "SKU, order id or its end, or adjustment id"
    ordering = ("-id",)
    fields = (
        "product", "kind", QUANTITY, "on_hand", "reserved", order_column(), "adjustment", "reason", "by", "created_at",
    )  # fmt: skip

    def match_ending(self, ending: str) -> Q:
        return Q(order__in=find_keys(Reservation, match_ending(["order"], ending), "order"))


@admin.register(PayableCurrency)
class PayableCurrencyAdmin(ReadOnlyAdmin):
    list_display = ("currency", "accepted", "step", "version", "changed_at")
    list_filter = ("accepted",)
    search_fields = ("currency__icontains",)
    search_help_text = "ISO 4217 code"
    ordering = ("currency",)
    fields = ("currency", "accepted", "step", "version", "changed_at", "applied_at")
