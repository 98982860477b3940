"""Erasures in the admin: the receipts, and the page that asks for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from rest_framework.exceptions import APIException
from unfold.decorators import action, display

from celery_config.errors import OperatorRefused, SagaPaused
from celery_config.saga.admin.forms import WhyForm
from celery_config.saga.admin.story import StoriesAdmin
from celery_config.saga.admin.widgets import render_confirmation
from celery_config.saga.models import SagaInstance
from celery_config.web.admin import ReadOnlyInline, ServiceAdmin
from celery_config.web.columns import id_column, make_label, table_column
from order_project.erasure import requests
from order_project.models import Customer, Erasure, ErasureReceipt

PAGE = "admin:order_erasure_change"
MOST_STORIES = 3
COLOURS = {"done": "success", "under way": "info"}
ABOUT = (
    "Name, addresses, account and payment tokens are deleted from all four services, and nothing brings them back."
    " Orders, amounts and ledger stay, without saying whose they were. Orders that are under way have to end first."
)


class ReceiptInline(ReadOnlyInline):
    model = ErasureReceipt
    fields = ("service", table_column("rows", "erased rows"), "at")


class ErasureAdmin(StoriesAdmin):
    list_display = (id_column("id"), "status", id_column("customer"), "by", "asked_at", "done_at")
    search_ids = ("id", "customer")
    search_help_text = "erasure id or customer id"
    ordering = ("-asked_at",)
    inlines = (ReceiptInline,)
    fields = ("id", "status", "customer", "by", "why", "asked_at", "done_at")
    nothing_yet = "No customer was forgotten. The act is on the page of a customer."

    def find_sagas(self, row: Erasure) -> Sequence[SagaInstance]:
        """Those of an erasure are about it; a customer of thousands of orders has several."""
        return list(SagaInstance.objects.filter(subject=str(row.pk)).order_by("pk")[:MOST_STORIES])

    @display(description="status")
    def status(self, erasure: Erasure) -> Any:
        return make_label(erasure.status, COLOURS)


class ForgettableAdmin(ServiceAdmin):
    """For the admin of customers."""

    actions_detail = ("forget",)

    def has_forget_permission(self, request: HttpRequest, _: Any = None) -> bool:
        return request.user.has_perm("order.add_erasure")

    @action(description="Forget", icon="person_remove", permissions=["forget"])
    def forget(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row: Customer | None = self.get_object(request, object_id)
        if row is None:
            return self.redirect_to_list(request, object_id)
        back, form = reverse("admin:order_customer_change", args=[row.pk]), WhyForm(request.POST or None)
        if form.is_valid():
            return self.request_and_redirect(request, row, form.cleaned_data["why"], back)
        return render_confirmation(
            self, request, title=f"Forget {row}", about=ABOUT, original=row, form=form, button="Forget", back=back,
        )  # fmt: skip

    def request_and_redirect(self, request: HttpRequest, row: Customer, why: str, back: str) -> HttpResponse:
        try:
            erasure = requests.request_erasure(customer=row.pk, by=request.user.get_username(), why=why)
        except (APIException, OperatorRefused, SagaPaused) as error:
            self.message_user(request, f"Nothing was changed: {error}", messages.ERROR)
            return redirect(back)
        return redirect(reverse(PAGE, args=[erasure.pk]))
