"""Choreographed orders in the admin: status, what was seen of each, and the operators' verbs (rule 25, parked)."""

from __future__ import annotations

from typing import Any

from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from celery_config.saga.admin.operator_pages import (
    DECIDED,
    DRIVEN,
    FLOW_FILTERS,
    OperatorPages,
    StatusFilter,
)
from celery_config.saga.admin.widgets import STATUS
from celery_config.saga.models import OperatorAction
from celery_config.saga.operations.acts import describe_effect, describe_target, name_act
from celery_config.web.admin import ReadOnlyInline
from celery_config.web.columns import (
    EMPTY,
    id_column,
    link_column,
    number_column,
    table_column,
    time_column,
    words_column,
)
from order_project.models import Choreography, SeenEvent


class SeenInline(ReadOnlyInline):
    classes = ("collapse",)
    model = SeenEvent
    fields = (
        words_column("kind", "what came"),
        table_column("content", "what it says", currency="currency"),
        "at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[SeenEvent]:
        """An event may name an amount alone; its currency is the order's."""
        seen: QuerySet[SeenEvent] = super().get_queryset(request)
        return seen.annotate(currency=F("choreography__order__currency"))


class ChoreographyAdmin(OperatorPages):
    list_display = (
        id_column("order_id", "order"), STATUS, "why", "owner",
        number_column("drives", "sent again"), time_column("due_at", "looked at next"),
    )  # fmt: skip
    list_filter = (StatusFilter, *FLOW_FILTERS)
    search_ids = ("order",)
    search_help_text = "order id"
    ordering = ("-order",)
    inlines = (SeenInline,)
    fieldsets = (
        (None, {"fields": (link_column("order_id", "admin:order_order_change", "order"), STATUS)}),
        ("More", {"classes": ("collapse",), "fields": (
            table_column("cause"), table_column("failure"), *DRIVEN, *DECIDED, "operated",
        )}),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Choreography]:
        return super().get_queryset(request).select_related("order")  # type: ignore[no-any-return]

    @display(description="what operators did")
    def operated(self, row: Choreography) -> Any:
        did = OperatorAction.objects.filter(subject=row.subject)
        actions = [
            (
                name_act(each.verb),
                describe_target(each.what),
                each.by,
                each.why,
                describe_effect(each.effect),
            )
            for each in did
        ]
        return format_html_join(SafeString("<br>"), "{} {} by {}: {} ({})", actions) or EMPTY
