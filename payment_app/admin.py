"""The payment service's admin: everything here is a fact, so it is shown and never edited."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet, Sum
from django.http import HttpRequest
from unfold.decorators import display

from celery_config.api.admin import FactAdmin, FactInline
from celery_config.money import money
from payment_app.models import Account, LedgerTransaction, Payment, Posting, Refund


class RefundInline(FactInline):
    model = Refund
    fields = ("id", "sum", "outcome", "created_at")
    readonly_fields = ("sum", "outcome")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Refund]:
        rows: QuerySet[Refund] = super().get_queryset(request)
        return rows.select_related("payment", "outcome")

    @admin.display(description="amount")
    def sum(self, refund: Refund) -> str:
        return money(refund.amount, refund.payment.currency)

    @admin.display(description="outcome")
    def outcome(self, refund: Refund) -> str:
        return outcome_of(refund)


def outcome_of(refund: Refund) -> str:
    return str(refund.outcome) if hasattr(refund, "outcome") else "not answered yet"


@admin.register(Payment)
class PaymentAdmin(FactAdmin):
    list_display = ("order", "sum", "status", "captured_sum", "refunded_sum", "expires_at", "created_at")
    list_filter = ("state", "currency", ("created_at", admin.DateFieldListFilter))
    search_fields = ("=order", "=id", "=customer", "=provider_id")
    search_help_text = "order, payment or customer id, or the provider's id"
    ordering = ("-created_at",)
    inlines = (RefundInline,)

    @admin.display(description="amount", ordering="amount")
    def sum(self, payment: Payment) -> str:
        return money(payment.amount, payment.currency)

    @display(  # type: ignore[untyped-decorator]
        description="state", label={"authorized": "info", "captured": "success", "voided": "warning"}
    )
    def status(self, payment: Payment) -> str:
        return payment.state

    @admin.display(description="captured", ordering="captured")
    def captured_sum(self, payment: Payment) -> str:
        return money(payment.captured, payment.currency)

    @admin.display(description="refunded", ordering="refunded")
    def refunded_sum(self, payment: Payment) -> str:
        return money(payment.refunded, payment.currency)


@admin.register(Refund)
class RefundAdmin(FactAdmin):
    list_display = ("id", "order", "sum", "answer", "created_at")
    list_filter = (("outcome", admin.EmptyFieldListFilter),)
    list_select_related = ("payment", "outcome")
    search_fields = ("=id", "=payment__order", "=outcome__provider_id")
    search_help_text = "refund or order id, or the provider's id"
    ordering = ("-created_at",)
    readonly_fields = ("answer",)

    @admin.display(description="order", ordering="payment__order")
    def order(self, refund: Refund) -> str:
        return str(refund.payment.order)

    @admin.display(description="amount", ordering="amount")
    def sum(self, refund: Refund) -> str:
        return money(refund.amount, refund.payment.currency)

    @admin.display(description="provider's answer")
    def answer(self, refund: Refund) -> str:
        return outcome_of(refund)


class PostingInline(FactInline):
    model = Posting
    fields = ("account", "sum")
    readonly_fields = ("sum",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Posting]:
        rows: QuerySet[Posting] = super().get_queryset(request)
        return rows.select_related("account")

    @admin.display(description="amount (debit positive)")
    def sum(self, posting: Posting) -> str:
        return money(posting.amount, posting.account.currency)


@admin.register(LedgerTransaction)
class LedgerAdmin(FactAdmin):
    list_display = ("id", "booking", "order", "lines", "created_at")
    list_filter = ("booking", ("created_at", admin.DateFieldListFilter))
    search_fields = ("=order", "=id")
    search_help_text = "order id"
    ordering = ("-created_at",)
    inlines = (PostingInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LedgerTransaction]:
        rows: QuerySet[LedgerTransaction] = super().get_queryset(request)
        return rows.prefetch_related("postings__account")

    @admin.display(description="postings (debit positive)")
    def lines(self, transaction: LedgerTransaction) -> str:
        return ", ".join(
            f"{posting.account.code} {money(posting.amount, posting.account.currency)}"
            for posting in transaction.postings.all()
        )


@admin.register(Account)
class AccountAdmin(FactAdmin):
    list_display = ("code", "currency", "balance")
    list_filter = ("currency",)
    search_fields = ("code", "=currency")
    ordering = ("currency", "code")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Account]:
        rows: QuerySet[Account] = super().get_queryset(request)
        return rows.annotate(sum=Sum("postings__amount", default=0))

    @admin.display(description="balance (debit positive)", ordering="sum")
    def balance(self, account: Account) -> str:
        return money(account.sum, account.currency)  # type: ignore[attr-defined]
