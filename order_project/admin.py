"""The order service's admin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.forms import HiddenInput
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from unfold.decorators import display

from celery_config.common.address_parts import find_missing_parts
from celery_config.common.identifiers import parse_uuid
from celery_config.common.money import money
from celery_config.contracts.inventory import CommitStock, ReserveStock
from celery_config.contracts.payment import AuthorizePayment, CapturePayment, RefundPayment, VoidPayment
from celery_config.contracts.shipment import BookShipment, CancelShipment, DispatchShipment
from celery_config.erasure.tombstones import erased_among
from celery_config.saga.admin import SagaAdmin
from celery_config.saga.admin.operator_pages import OperatorPages
from celery_config.saga.admin.sagas import StepInline
from celery_config.saga.admin.story import StoriesAdmin
from celery_config.saga.models import SagaInstance
from celery_config.web.admin import ReadOnlyAdmin, ReadOnlyInline
from celery_config.web.change_log import CREATED, Kind, record_changes
from celery_config.web.columns import (
    column,
    id_column,
    join_address,
    join_lines,
    label_column,
    link_column,
    make_anchor,
    make_label,
    money_column,
    number_column,
    saga_column,
    weight_column,
    words_column,
)
from celery_config.web.elsewhere import tasks_url
from celery_config.web.lists import text_filter
from celery_config.web.order_rows import link_effects
from celery_config.web.search import find_keys, match_ending
from order_project.choreography.admin import ChoreographyAdmin
from order_project.desk.admin import DeskAdmin
from order_project.domain import ShownStatus, derive_shown_status, describe_shown_status
from order_project.erasure.admin import PAGE as ERASURE_PAGE
from order_project.erasure.admin import ErasureAdmin, ForgettableAdmin
from order_project.forms import AddressField
from order_project.models import (
    CatalogueProduct,
    Choreography,
    Customer,
    Desk,
    Erasure,
    Order,
    OrderLine,
    PayableCurrency,
    Refund,
)
from order_project.selectors import annotate_flow_status, filter_by_shown_status
from order_project.support.admin import NoteInline, SupportAdmin

ORDER_PAGE = "admin:order_order_change"
STATUS_COLOURS = {
    "placed": "info",
    "stopping": "warning",
    "finishing": "info",
    "parked": "danger",
    "confirmed": "success",
    "cancelled": "warning",
}
CANCEL_CODE = words_column("cancel_code", "cancelled because")
REFUND_STATUS = label_column("status", {"asked": "info", "paid": "success", "refused": "danger"})
REFUNDED = money_column("amount", currency="order__currency")


def find_shown_status(order: Order) -> ShownStatus:
    flow: str | None = order.flow_status  # type: ignore[attr-defined]
    return derive_shown_status(order.status, flow)


class LineInline(ReadOnlyInline):
    model = OrderLine
    fields = (
        link_column("sku", "admin:order_catalogueproduct_change", "SKU"),
        "name",
        number_column("quantity"),
        money_column("unit_price", "price", currency="order__currency"),
        column(
            "money",
            "total",
            "total",
            lambda line: money(line.unit_price * line.quantity, line.order.currency),
        ),
        "price_source",
    )


class RefundInline(ReadOnlyInline):
    model = Refund
    fields = (
        link_column("id", "admin:order_refund_change"),
        REFUNDED,
        "reason",
        "by",
        REFUND_STATUS,
        "detail",
        "created_at",
    )


admin.site.register(Desk, DeskAdmin)  # the first that is listed


class ShownStatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status__exact"  # links to a filtered list stay good

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(each.value, describe_shown_status(each)) for each in ShownStatus]

    def queryset(self, request: HttpRequest, orders: QuerySet[Order]) -> QuerySet[Order]:
        wanted = self.value()
        return filter_by_shown_status(orders, wanted) if wanted else orders


@admin.register(Order)
class OrderAdmin(SupportAdmin):
    list_display = (
        id_column("id"), "shown_status", money_column("total"), "customer", CANCEL_CODE, saga_column(short=True),
        "created_at",
    )  # fmt: skip
    list_filter = (ShownStatusFilter, text_filter("currency"), text_filter("cancel_code"))
    linked_lookups = ("cancel_code__exact", "ended_at__gte", "ended_at__lt")
    list_select_related = ("customer",)
    search_ids = ("id", "saga")
    search_endings = ("id",)
    search_emails = ("customer__email",)
    emails_need = "order.view_customer"
    search_fields = ("reference__exact", "tracking_number__exact")
    search_help_text = "order or saga id or its end, invoice number, tracking number, e-mail"
    is_jumped_to = True
    ordering = ("-created_at",)
    inlines = (LineInline, RefundInline, NoteInline)
    fields = (
        "id", "elsewhere", "shown_status", "customer", money_column("total"), weight_column("weight_grams"),
        "deliver_to", saga_column(), "tracking_number", CANCEL_CODE, "cancel_reason", "reference", "created_at",
        "ended_at",
    )  # fmt: skip

    def get_form(self, request: HttpRequest, obj: Order | None = None, *given: Any, **options: Any) -> Any:
        """Why there is no customer is said where there is none."""
        if obj and obj.customer_id:
            options["help_texts"] = {"customer": ""}
        return super().get_form(request, obj, *given, **options)

    def match_ending(self, ending: str) -> Q:
        """The list also shows the saga; its end has an index in the table of sagas alone."""
        sagas = find_keys(SagaInstance, match_ending(["id"], ending))
        return super().match_ending(ending) | Q(saga__in=sagas)

    def match_email(self, address: str) -> Q:
        return Q(customer__in=find_keys(Customer, Q(email__istartswith=address)))

    def describe_row(self, order: Order) -> str:
        words = describe_shown_status(find_shown_status(order))
        return f"{words}, {money(order.total, order.currency)}, {order.customer or 'customer erased'}"

    @display(description="of this order")
    def elsewhere(self, order: Order) -> Any:
        links = [link_effects(order.pk), make_anchor(f"/api/orders/{order.pk}/", "as JSON")]
        if url := tasks_url(order.saga or order.pk):
            links.append(make_anchor(url, "tasks in Flower"))
        return format_html_join(" · ", "{}", ((link,) for link in links))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        return annotate_flow_status(super().get_queryset(request))

    @display(description="status", ordering="status")
    def shown_status(self, order: Order) -> Any:
        shown = find_shown_status(order)
        words = describe_shown_status(shown)
        return make_label(words, {words: STATUS_COLOURS[shown]})

    @display(description="address")
    def deliver_to(self, order: Order) -> Any:
        missing = find_missing_parts(order.address) if order.customer_id else []
        mark = f"incomplete: {' and '.join(missing).replace('_', ' ')} missing" if missing else ""
        return join_lines([join_address(order.address), mark])


admin.site.register(Choreography, ChoreographyAdmin)
admin.site.register(Erasure, ErasureAdmin)


@admin.register(Refund)
class RefundAdmin(StoriesAdmin):
    list_display = (
        id_column("id"), link_column("order_id", ORDER_PAGE, "order", short=True), REFUNDED, REFUND_STATUS, "by",
        "detail", "created_at",
    )  # fmt: skip
    list_filter = ("status",)
    list_select_related = ("order",)
    search_ids = ("id", "order", "saga")
    search_endings = ("id",)
    search_help_text = "refund id or its end, order id or saga id"
    is_jumped_to = True
    ordering = ("-created_at",)
    fields = (
        "id", link_column("order_id", ORDER_PAGE, "order"), REFUNDED, "reason", "by", REFUND_STATUS, "detail",
        saga_column(), "created_at",
    )  # fmt: skip
    nothing_yet = "No money was given back. The act is on the page of an order."

    def find_sagas(self, row: Refund) -> Sequence[SagaInstance]:
        return list(SagaInstance.objects.filter(pk=row.saga))

    def describe_row(self, refund: Refund) -> str:
        return f"{refund.status}, {money(refund.amount, refund.order.currency)}"


def was_made(customer: UUID | None) -> bool:
    """Whether a customer with this id is or was there."""
    if customer is None:
        return False
    return Customer.objects.filter(pk=customer).exists() or bool(erased_among([customer]))


@admin.register(Customer)
class CustomerAdmin(ForgettableAdmin):
    list_display = ("name", "email", "reference", "created_at")
    search_ids = ("id",)
    search_endings = ("id",)
    search_emails = ("email",)
    search_names = ("name",)
    search_fields = ("name__icontains", "reference__exact")
    search_help_text = "name, e-mail, number, or customer id or its end"
    is_jumped_to = True
    autocomplete_fields = ("user",)
    ordering = ("-created_at",)
    readonly_fields = ("id", "version", "created_at", "updated_at")
    fields = (
        "id", "name", "email", "currency", "billing_address", "delivery_address", "reference", "user", "version",
        "created_at", "updated_at",
    )  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Customer | None = None) -> Any:
        """The form of a new customer has their id, so that it makes one customer however often it is sent.

        Whose account it is decides who orders and cancels as this customer, so only who changes accounts says it.
        """
        given = () if request.user.has_perm("auth.change_user") else ("user",)
        fields = (*super().get_readonly_fields(request, obj), *given)
        return fields if obj else tuple(name for name in fields if name != "id")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        customer = parse_uuid(request.POST.get("id", ""))
        try:
            if not was_made(customer):
                answer: HttpResponse = super().add_view(request, form_url, extra_context)
                errors = (getattr(answer, "context_data", None) or {}).get("errors")
                if not (errors and was_made(customer)):  # the same form may be the first to have made them
                    return answer
        except IntegrityError:  # the same form was sent at the same moment
            if not was_made(customer):
                raise
        told = "Nothing was changed: this form has made a customer already"
        self.message_user(request, told, messages.WARNING)
        back: HttpResponse = self.response_post_save_add(request, Customer())
        return back

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "id":
            return db_field.formfield(widget=HiddenInput, required=False)
        if db_field.name in ("billing_address", "delivery_address"):
            return AddressField(label=db_field.verbose_name)
        return super().formfield_for_dbfield(db_field, request, **options)

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: Customer, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if changed := sorted(form.changed_data) if change else [CREATED]:
            record_changes(Kind.CUSTOMER, {str(obj.pk): changed}, by=request.user.get_username())

    def has_delete_permission(self, request: HttpRequest, obj: Customer | None = None) -> bool:
        return False  # orders and ledgers refer to them


@admin.register(CatalogueProduct)
class CatalogueAdmin(ReadOnlyAdmin):
    list_display = ("sku", "name", money_column("price"), "active", "version", "changed_at")
    list_filter = ("active", text_filter("currency"))
    search_fields = ("sku__icontains", "name__icontains")
    search_help_text = "SKU or name"
    ordering = ("sku",)
    fields = (
        "sku",
        "name",
        money_column("price"),
        weight_column("weight_grams"),
        "active",
        "version",
        "changed_at",
        "applied_at",
    )


@admin.register(PayableCurrency)
class PayableCurrencyAdmin(ReadOnlyAdmin):
    list_display = ("currency", "accepted", "step", "version", "changed_at")
    list_filter = ("accepted",)
    search_fields = ("currency__icontains",)
    search_help_text = "ISO 4217 code"
    ordering = ("currency",)
    fields = ("currency", "accepted", "step", "version", "changed_at", "applied_at")


# Sagas here are about orders and erasures, which the engine does not know.
SagaAdmin.subject_views = {
    "place-order": ORDER_PAGE,
    "refund-order": ORDER_PAGE,
    "forget-customer": ERASURE_PAGE,
}
# What its steps write elsewhere.
StepInline.effects = {
    command.wire_name(): word
    for word, commands in {
        "payment": (AuthorizePayment, CapturePayment, RefundPayment),
        "reservation": (ReserveStock, CommitStock),
        "shipment": (BookShipment, DispatchShipment),
    }.items()
    for command in commands
}
# The answers of provider and carrier, which the engine does not know either.
OperatorPages.answers = {
    AuthorizePayment.wire_name(): {"provider_id": "the provider's id of the authorization"},
    VoidPayment.wire_name(): {},
    BookShipment.wire_name(): {"carrier_id": "the carrier's id", "tracking_number": "as on the label"},
    CancelShipment.wire_name(): {},
    CapturePayment.wire_name(): {},
    DispatchShipment.wire_name(): {},
    RefundPayment.wire_name(): {"refund_id": "the provider's id of the refund"},
}
