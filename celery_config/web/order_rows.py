"""Pages of tables with one row an order at most: an address leads from the order to its row, and links lead back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.columns import Column, column, get_value, make_anchor, shorten_id
from celery_config.web.elsewhere import order_url, row_url

EFFECTS = {
    "payment": ("payment", "payment/payment"),
    "reservation": ("inventory", "inventory/reservation"),
    "shipment": ("shipment", "shipment/shipment"),
}
"""Each participant's row of an order: its service and its table there, by the word for it."""


def order_column(path: str = "order", title: str = "order", *, short: bool = False) -> Column:
    """A link to the order's page in the order service."""

    def show(row: Any) -> Any:
        order = get_value(row, path)
        return make_anchor(order_url(order), shorten_id(order) if short else order) if order else "-"

    return column("id", path, title, show)


def link_effect(order: UUID | str, word: str) -> SafeString:
    """A link to the participant's row of an order.

    Args:
        word: one of `EFFECTS`.
    """
    return make_anchor(row_url(*EFFECTS[word], order), word)


def link_effects(order: UUID | str, *, without: str = "") -> SafeString:
    """Links to what the participants did for an order.

    Args:
        without: the table that shows the links.
    """
    links = (link_effect(order, word) for word, (_, table) in EFFECTS.items() if table != without)
    return format_html_join(" · ", "{}", ((link,) for link in links))


class OrderRowAdmin(ReadOnlyAdmin):
    """The admin of such a table, whose field `order` is unique."""

    @property
    def table(self) -> str:
        return f"{self.opts.app_label}/{self.opts.model_name}"

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_of_order"
        view = self.admin_site.admin_view(self.show_row_of_order)
        return [path("of-order/<uuid:object_id>/", view, name=name), *super().get_urls()]

    def show_row_of_order(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Lead to the order's row; to the list, with a message, if there is none."""
        if not request.user.has_perm(f"{self.opts.app_label}.view_{self.opts.model_name}"):
            raise PermissionDenied
        base = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        if row := self.model._default_manager.filter(order=object_id).only("pk").first():
            return redirect(reverse(f"{base}_change", args=[row.pk]))
        told = f"There is no {self.opts.verbose_name} of order {object_id} here: this step has not run, or was refused."
        self.message_user(request, told, messages.INFO)
        return redirect(reverse(f"{base}_changelist"))

    @display(description="of the same order")
    def elsewhere(self, row: Any) -> SafeString:
        return link_effects(row.order, without=self.table)
