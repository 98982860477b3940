"""The payment admin: every row is a fact, so the pages show it and never edit it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet, Sum
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from celery_config.common.money import money
from celery_config.common.services import ORCHESTRATOR
from celery_config.web.admin import ReadOnlyAdmin, ReadOnlyInline
from celery_config.web.columns import (
    EMPTY,
    Column,
    column,
    format_ago,
    format_time,
    id_column,
    label_column,
    link_column,
    make_anchor,
    make_label,
    money_column,
    spell_code,
    table_column,
    words_column,
)
from celery_config.web.elsewhere import find_url
from celery_config.web.lists import text_filter
from celery_config.web.order_rows import OrderRowAdmin, order_column
from celery_config.web.search import find_keys, match_ending
from payment_app.domain import State
from payment_app.models import Account, BillingCustomer, Currency, LedgerTransaction, Payment, Posting, Refund

STATE = label_column("state", {"authorized": "info", "captured": "success", "voided": "warning"})
REFUNDED = money_column("amount", currency="payment__currency")
CUSTOMER = column("id", "customer", "customer", lambda payment: link_customer(payment))
REFUND_PAGE, PAYMENT_PAGE = "admin:payment_refund_change", "admin:payment_payment_change"


def until_column(show: Callable[[datetime], SafeString | str]) -> Column:
    """When the provider lets go of money that it holds; of what is captured or voided it holds none."""

    def tell(payment: Payment) -> SafeString | str:
        return show(payment.expires_at) if payment.state == State.AUTHORIZED else EMPTY

    return column("text", "expires_at", "held until", tell)


def label_outcome(refund: Refund) -> SafeString:
    answer = str(refund.outcome) if hasattr(refund, "outcome") else "not answered yet"
    return make_label(answer, {"paid": "success", "not answered yet": "info"})


def link_customer(payment: Payment) -> SafeString | str:
    """A link to the customer at the order service."""
    customer = payment.customer
    return make_anchor(find_url(ORCHESTRATOR, customer), customer) if customer else "erased"


OUTCOME = column("outcome", "outcome", "provider's answer", label_outcome)


class RefundInline(ReadOnlyInline):
    model = Refund
    fields = (link_column("id", REFUND_PAGE), REFUNDED, OUTCOME, "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Refund]:
        rows: QuerySet[Refund] = super().get_queryset(request)
        return rows.select_related("payment", "outcome")


@admin.register(Payment)
class PaymentAdmin(OrderRowAdmin):
    list_display = (
        id_column("order"), STATE, money_column("amount"), money_column("captured"), money_column("refunded"),
        until_column(format_ago), "created_at",
    )  # fmt: skip
    list_filter = ("state", text_filter("currency"), ("created_at", admin.DateFieldListFilter))
    linked_lookups = ("currency__exact",)
    search_ids = ("order", "id", "customer")
    search_endings = ("order", "id")
    search_fields = ("provider_id__exact",)
    search_help_text = "order or payment id or its end, customer or provider's id"
    is_jumped_to = True
    ordering = ("-created_at",)
    inlines = (RefundInline,)
    fields = (
        "id", order_column(), "elsewhere", CUSTOMER, STATE, money_column("amount"), money_column("captured"),
        money_column("refunded"), "provider_id", until_column(format_time), "created_at", "updated_at",
    )  # fmt: skip


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    list_display = (id_column("id"), id_column("payment__order"), REFUNDED, OUTCOME, "created_at")
    list_filter = (("outcome", admin.EmptyFieldListFilter),)
    list_select_related = ("payment", "outcome")
    search_ids = ("id", "payment__order")
    search_endings = ("id",)
    search_fields = ("outcome__provider_id__exact",)
    search_help_text = "refund id or its end, order id, or the provider's id"
    is_jumped_to = True
    ordering = ("-created_at",)
    fields = (
        "id",
        link_column("payment_id", PAYMENT_PAGE, "payment"),
        order_column("payment__order"),
        REFUNDED,
        OUTCOME,
        "key",
        "created_at",
    )


class PostingInline(ReadOnlyInline):
    model = Posting
    fields = (
        words_column("account__code", "account"),
        money_column("amount", "amount (debit positive)", currency="account__currency"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Posting]:
        rows: QuerySet[Posting] = super().get_queryset(request)
        return rows.select_related("account")


@admin.register(LedgerTransaction)
class LedgerAdmin(ReadOnlyAdmin):
    list_display = (id_column("id"), "booking", id_column("order"), "debit", "credit", "created_at")
    list_filter = ("booking", ("created_at", admin.DateFieldListFilter))
    search_ids = ("order", "id")
    search_help_text = "order id or its end"
    ordering = ("-created_at",)
    inlines = (PostingInline,)
    fields = ("id", "booking", order_column(), "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[LedgerTransaction]:
        rows: QuerySet[LedgerTransaction] = super().get_queryset(request)
        return rows.prefetch_related("postings__account")

    def match_ending(self, ending: str) -> Q:
        """Of the orders that have a payment; the ledger's own ids have no index of their ends."""
        return Q(order__in=find_keys(Payment, match_ending(["order"], ending), "order"))

    @admin.display(description="debit")
    def debit(self, transaction: LedgerTransaction) -> Any:
        return list_postings(posting for posting in transaction.postings.all() if posting.amount > 0)

    @admin.display(description="credit")
    def credit(self, transaction: LedgerTransaction) -> Any:
        return list_postings(posting for posting in transaction.postings.all() if posting.amount < 0)


def list_postings(postings: Iterable[Posting]) -> SafeString:
    """Each account with its amount, one a line."""
    return format_html_join(
        SafeString("<br>"),
        '{} <span class="amount">{}</span>',
        (
            (spell_code(posting.account.code), money(posting.amount, posting.account.currency))
            for posting in postings
        ),
    )


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    list_display = (
        words_column("code", "account"),
        "currency",
        money_column("balance", "balance (debit positive)"),
    )
    list_filter = (text_filter("currency"),)
    search_fields = ("code__icontains", "currency__iexact")
    search_help_text = "account or currency"
    ordering = ("currency", "code")
    fields = (
        words_column("code", "account"),
        "currency",
        money_column("balance", "balance (debit positive)"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Account]:
        rows: QuerySet[Account] = super().get_queryset(request)
        return rows.annotate(balance=Sum("postings__amount", default=0))


@admin.register(BillingCustomer)
class BillingCustomerAdmin(ReadOnlyAdmin):
    list_display = ("name", "email", "currency", "version", "changed_at")
    list_filter = (text_filter("currency"),)
    search_ids = ("customer",)
    search_emails = ("email",)
    search_fields = ("name__icontains",)
    search_help_text = "customer id, name or e-mail"
    ordering = ("customer",)
    fields = (
        "customer", "name", "email", "currency", table_column("billing_address"), "version", "changed_at", "applied_at",
    )  # fmt: skip


@admin.register(Currency)
class CurrencyAdmin(ReadOnlyAdmin):
    list_display = ("currency", "accepted", "step", "version", "updated_at")
    list_filter = ("accepted",)
    search_fields = ("currency__icontains",)
    search_help_text = "ISO 4217 code"
    ordering = ("currency",)
    fields = ("currency", "accepted", "step", "version", "updated_at")
