"""What is kept: dead letters, and what operators did."""

from __future__ import annotations

from django.contrib import admin

from celery_config.saga.models import DeadLetter, OperatorAction
from celery_config.web.admin import ReadOnlyAdmin, text_filter
from celery_config.web.columns import id_column, json_column, saga_column


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    list_display = ("received_at", "task", "reason", "fault", saga_column(short=True), "consequence")
    list_filter = (text_filter("reason"), text_filter("queue"))
    search_ids = ("saga", "task_id")
    search_fields = ("task__icontains",)
    search_help_text = "saga id, command id or task"
    ordering = ("-received_at",)
    fields = (
        "received_at", "reason", "queue", "task", "task_id", saga_column(), "step", "operation", "fault",
        "consequence", json_column("headers"), json_column("body"),
    )  # fmt: skip


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    list_display = (
        "at",
        "verb",
        "what",
        saga_column("saga_id", "saga", short=True),
        id_column("subject"),
        "by",
        "why",
    )
    list_filter = (text_filter("by"), text_filter("verb"))
    search_ids = ("saga", "subject")
    search_fields = ("by__icontains",)
    search_help_text = "saga id, order id or person"
    ordering = ("-at", "-id")
    fields = ("at", "verb", "what", saga_column("saga_id", "saga"), "subject", "by", "why", "effect")
