"""Admin pages of barrier, outbox, inbox, keys and contradictions in every service: read-only.

The one act is to send again what the outbox has set aside.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator
from unfold.forms import ActionForm
from unfold.widgets import UnfoldAdminTextInputWidget

from celery_config.common.visible_text import is_visible
from celery_config.messaging.models import (
    SET_ASIDE,
    BarrierRow,
    Contradiction,
    IdempotencyKey,
    InboxEntry,
    OutboxMessage,
)
from celery_config.messaging.outbox import publishing
from celery_config.web.admin import ReadOnlyAdmin, text_filter
from celery_config.web.columns import id_column, json_column, label_column, saga_column

MAX_SHOWN = 60
OUTCOMES = {
    "done": "success",
    "refused": "danger",
    "intent": "warning",
    "tombstone": "info",
}
ACTION, UNDO = label_column("action", OUTCOMES), label_column("undo", OUTCOMES)


@admin.register(BarrierRow)
class BarrierAdmin(ReadOnlyAdmin):
    list_display = (id_column("saga"), "step", ACTION, UNDO, "created_at", "updated_at")
    list_filter = ("action", "undo", text_filter("step"))
    search_ids = ("saga", "key")
    search_help_text = "saga id"
    ordering = ("-created_at",)
    fields = (
        "key", saga_column(), "step", "command", "command_hash", ACTION, UNDO, json_column("request"),
        json_column("reply"), "note", "created_at", "updated_at",
    )  # fmt: skip


class WhyActionForm(ActionForm):  # type: ignore[misc]
    why = forms.CharField(
        max_length=1000,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "why"}),
    )


class SetAsideFilter(admin.SimpleListFilter):
    title = "set aside"
    parameter_name = "set_aside"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes: it cannot be sent")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(SET_ASIDE) if self.value() else queryset


@admin.register(OutboxMessage)
class OutboxAdmin(ReadOnlyAdmin):
    list_display = ("id", "kind", "name", saga_column(short=True), "due_at", "published_at", "short_fault")
    list_filter = ("kind", ("published_at", admin.EmptyFieldListFilter), SetAsideFilter, text_filter("name"))
    actions = ("send_again",)
    action_form = WhyActionForm
    search_ids = ("saga",)
    search_help_text = "saga id"
    ordering = ("-id",)
    fields = (
        "id", "transaction", "kind", "name", saga_column(), "route", json_column("payload"), "due_at",
        "published_at", "fault", "created_at",
    )  # fmt: skip

    @admin.display(description="fault")
    def short_fault(self, row: OutboxMessage) -> str | None:
        """The whole of it is on the row's own page."""
        return Truncator(row.fault).chars(MAX_SHOWN) if row.fault else None

    def has_send_again_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("messaging.change_outboxmessage")

    @admin.action(description="Send again what was set aside", permissions=["send_again"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[OutboxMessage]) -> None:
        why = request.POST.get("why", "").strip()
        if not is_visible(why):
            self.message_user(request, "Nothing was changed: say why", messages.ERROR)
            return
        chosen = list(queryset.filter(SET_ASIDE))
        for row in chosen:
            self.log_change(request, row, f"sent again: {why}; it was set aside: {row.fault}")
        publishing.send_again(chosen, by=request.user.get_username(), why=why)
        self.message_user(request, f"Done: {len(chosen)} rows are sent again", messages.SUCCESS)


@admin.register(InboxEntry)
class InboxAdmin(ReadOnlyAdmin):
    list_display = (id_column("event"), "handler", "received_at")
    list_filter = (text_filter("handler"),)
    search_ids = ("event",)
    search_help_text = "event id"
    ordering = ("-received_at",)


@admin.register(Contradiction)
class ContradictionAdmin(ReadOnlyAdmin):
    # A reason may be long: it is on the page of its row.
    list_display = ("event", "kind", id_column("subject"), "received_at")
    list_filter = (text_filter("kind"),)
    search_ids = ("subject", "key")
    search_help_text = "order id or idempotency key"
    ordering = ("-received_at",)
    fields = ("event", "kind", "key", "subject", "reason", json_column("told"), "received_at")


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    list_display = ("made", id_column("subject"), "status", "created_at")
    search_ids = ("subject",)
    search_help_text = "id of the order, customer or saga"
    ordering = ("-created_at",)
    fields = ("digest", "request_hash", "status", "made", "subject", "created_at")
