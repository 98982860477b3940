"""The order's page for support: its story, answers in words, cancellation, refund and notes, each with its page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from rest_framework.exceptions import APIException
from unfold.decorators import action

from celery_config.common.countries import name_country
from celery_config.errors import OperatorRefused, SagaPaused
from celery_config.saga.admin.forms import WhyForm
from celery_config.saga.admin.story import StoryMedia, build_linked_story
from celery_config.saga.admin.widgets import render_confirmation
from celery_config.saga.flow_facts import FlowFacts
from celery_config.saga.models import WatchedRow
from celery_config.saga.operations.flow_reader import read_flow
from celery_config.web.admin import ReadOnlyAdmin, ReadOnlyInline
from order_project import cancelling, selectors, services
from order_project.domain import OrderStatus, RefundStatus
from order_project.models import Order, OrderNote
from order_project.support.answers import (
    OrderFacts,
    answer_charge,
    answer_parcel,
    list_undoings,
    refuse_cancellation,
)
from order_project.support.forms import NoteForm, RefundForm
from order_project.support.notes import add_note

PAGE = "admin:order_order_change"


class NoteInline(ReadOnlyInline):
    model = OrderNote
    verbose_name_plural = "notes of staff"
    fields = ("at", "by", "text")


class SupportAdmin(ReadOnlyAdmin):
    """The admin of orders."""

    change_form_outer_before_template = "support/answers.html"
    actions_detail = ("cancel", "refund", "note")
    actions_detail_hide_default = True
    Media = StoryMedia

    def has_cancel_permission(self, request: HttpRequest, _: Any = None) -> bool:
        return request.user.has_perm("order.change_order")

    def has_refund_permission(self, request: HttpRequest, _: Any = None) -> bool:
        return request.user.has_perm("order.add_refund")

    def has_note_permission(self, request: HttpRequest, _: Any = None) -> bool:
        return request.user.has_perm("order.add_ordernote")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj and (row := find_row(obj)):
            order, flow = gather_order(obj), read_flow(row)
            context["answers"] = [
                ("Was I charged?", answer_charge(order, flow)),
                ("Where is my parcel?", answer_parcel(order, flow)),
            ]
            if request.user.has_perm(f"{row._meta.app_label}.view_{row._meta.model_name}"):
                context["stories"] = [build_linked_story(row, flow)]
        answer: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return answer

    @action(description="Cancel…", icon="undo", permissions=["cancel"])
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what would be undone; when a reason is sent, stop the order."""
        order: Order | None = self.get_object(request, object_id)
        row = find_row(order) if order else None
        if order is None or row is None:
            return self.redirect_to_list(request, object_id)
        flow, form = read_flow(row), WhyForm(request.POST or None)
        refused = refuse_cancellation(flow)

        def cancel(why: str) -> str:
            cancelling.cancel_for(request.user, order=order, why=why)
            return cancelling.ASKED

        return self.confirm(
            request, order, form, lambda: cancel(form.cleaned_data["why"]), title="Cancel the order",
            button="Cancel it", about="" if refused else tell_undoings(flow), refused=refused,
        )  # fmt: skip

    @action(description="Give money back…", icon="refresh", permissions=["refund"])
    def refund(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the amount, show what would remain, and give it back when that is confirmed."""
        order: Order | None = self.get_object(request, object_id)
        if order is None:
            return self.redirect_to_list(request, object_id)
        facts = gather_order(order)
        form = RefundForm(request.POST or None, currency=order.currency, most=facts.refundable)
        refused = refuse_refund(order, facts)
        context: dict[str, Any] = {
            "title": "Give money back",
            "button": "Go on",
            "refused": refused,
        }
        if not refused:
            context["about"] = (
                f"{facts.show(order.total)} was paid, and {facts.show(facts.refundable)} is left of it."
            )
        if not refused and form.is_valid():
            amount = form.cleaned_data["amount"]
            if "confirmed" in request.POST:
                return self.act(request, order, lambda: give_back(order, form.cleaned_data, request))
            context |= {"button": f"Give {facts.show(amount)} back", "hidden": [("confirmed", "yes")]}
            context["about"] = (
                f"{facts.show(amount)} will be given back to the card, and {facts.show(facts.refundable - amount)} is"
                " left then. The payment provider may take some days. It cannot be taken back."
            )
        return render_confirmation(
            self, request, original=order, form=form, back=reverse(PAGE, args=[order.pk]), **context
        )

    @action(description="Add a note…", icon="edit_note", permissions=["note"])
    def note(self, request: HttpRequest, object_id: str) -> HttpResponse:
        order: Order | None = self.get_object(request, object_id)
        if order is None:
            return self.redirect_to_list(request, object_id)
        form = NoteForm(request.POST or None)

        def keep() -> str:
            add_note(order, by=request.user.get_username(), text=form.cleaned_data["why"])
            return "The note is kept."

        return self.confirm(
            request, order, form, keep, title="Add a note", button="Keep the note",
            about="Staff who see this order read it. It is deleted when the customer is forgotten.",
        )  # fmt: skip

    def confirm(
        self, request: HttpRequest, order: Order, form: Form, act: Callable[[], str], **context: Any
    ) -> HttpResponse:
        """Show the page that asks; act when it is sent with what it asks for."""
        if not context.get("refused") and form.is_valid():
            return self.act(request, order, act)
        back = reverse(PAGE, args=[order.pk])
        return render_confirmation(
            self, request, original=order, form=form, back=back, leave="Back", **context
        )

    def act(self, request: HttpRequest, order: Order, act: Callable[[], str]) -> HttpResponse:
        try:
            self.message_user(request, act(), messages.SUCCESS)
        except (APIException, OperatorRefused, SagaPaused) as error:
            self.message_user(request, f"Nothing was changed: {error}", messages.ERROR)
        return redirect(reverse(PAGE, args=[order.pk]))


def find_row(order: Order) -> WatchedRow | None:
    """The saga or choreography that carries an order; None after their retention."""
    found: Any = selectors.read_flows([order]).get(order.pk)
    return found  # type: ignore[no-any-return]


def gather_order(order: Order) -> OrderFacts:
    """What support is asked about: one query for the refunds."""
    city, country = (order.address.get(part, "") for part in ("city", "country"))
    refunds = [
        (RefundStatus(status), amount) for status, amount in order.refunds.values_list("status", "amount")
    ]
    return OrderFacts(
        total=order.total,
        currency=order.currency,
        refunds=refunds,
        tracking_number=order.tracking_number,
        destination=", ".join(filter(None, (city, name_country(country)))),
        reason=order.cancel_reason or order.cancel_code.replace("_", " "),
    )


def tell_undoings(flow: FlowFacts) -> str:
    undoings = list_undoings(flow)
    if not undoings:
        return "Nothing is done yet that would have to be undone; the customer is not charged."
    return f"This will be done: {', '.join(undoings)}. The customer is not charged."


def refuse_refund(order: Order, facts: OrderFacts) -> str:
    if order.status != OrderStatus.CONFIRMED:
        return "the order is not done: cancel it instead, and nothing is charged"
    return "" if facts.refundable > 0 else "all of it was given back, or is being given back"


def give_back(order: Order, given: dict[str, Any], request: HttpRequest) -> str:
    services.request_refund(
        order=order.pk,
        amount=given["amount"],
        reason=given["why"],
        by=request.user.get_username(),
        refund=given["id"],
    )
    return "The money is being given back. The refund below says when it is paid."
