"""Admin pages of barrier, outbox, inbox and contradictions in every service: read-only."""

from __future__ import annotations

from django.contrib import admin

from celery_config.messaging.models import BarrierRow, Contradiction, InboxEntry, OutboxMessage
from celery_config.web.admin import ReadOnlyAdmin, text_filter
from celery_config.web.columns import id_column, json_column, label_column, saga_column

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


@admin.register(OutboxMessage)
class OutboxAdmin(ReadOnlyAdmin):
    list_display = ("id", "kind", "name", saga_column(short=True), "due_at", "published_at")
    list_filter = ("kind", ("published_at", admin.EmptyFieldListFilter), text_filter("name"))
    search_ids = ("saga",)
    search_help_text = "saga id"
    ordering = ("-id",)
    fields = (
        "id", "transaction", "kind", "name", saga_column(), json_column("payload"), "due_at", "published_at",
        "created_at",
    )  # fmt: skip


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
