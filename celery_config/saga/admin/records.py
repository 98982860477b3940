"""What is kept: dead letters, and what operators did."""

from __future__ import annotations

from django.contrib import admin

from celery_config.messaging.dealt_with import DEALT_WITH, DEALT_WITH_FILTER, DealtWithAdmin
from celery_config.saga.admin.widgets import BY, EFFECT, TARGET, VERB
from celery_config.saga.models import DeadLetter, OperatorAction
from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.columns import id_column, json_column, saga_column, words_column
from celery_config.web.lists import text_filter

REASON = words_column("reason")


@admin.register(DeadLetter)
class DeadLetterAdmin(DealtWithAdmin):
    list_display = ("received_at", "task", REASON, "fault", saga_column(short=True), "consequence")
    list_filter = (
        DEALT_WITH_FILTER, text_filter("reason"), text_filter("queue"),
    )  # fmt: skip
    what_follows = "; they are deleted after their time"
    search_ids = ("saga", "task_id")
    search_fields = ("task__icontains",)
    search_help_text = "saga id, command id or task"
    ordering = ("-received_at",)
    fields = (
        "received_at", REASON, "queue", "task", "task_id", saga_column(), "step", "operation", "fault",
        "consequence", *DEALT_WITH, json_column("headers"), json_column("body"),
    )  # fmt: skip


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    list_display = (
        "at",
        VERB,
        TARGET,
        saga_column("saga_id", "saga", short=True),
        id_column("subject", "about"),
        BY,
        "why",
    )
    list_filter = (text_filter("by"), text_filter("verb"))
    search_ids = ("saga", "subject")
    search_fields = ("by__icontains",)
    search_help_text = "saga id, order id or person"
    ordering = ("-at", "-id")
    fields = ("at", VERB, TARGET, saga_column("saga_id", "saga"), "subject", BY, "why", EFFECT)
