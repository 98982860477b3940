"""What is kept: dead letters, and what operators did."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import action

from celery_config.db.functions import Now
from celery_config.saga.admin.widgets import EFFECT, TARGET, VERB
from celery_config.saga.models import DeadLetter, OperatorAction
from celery_config.web.admin import ReadOnlyAdmin, text_filter
from celery_config.web.columns import id_column, json_column, saga_column, words_column

REASON = words_column("reason")


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    list_display = ("received_at", "task", REASON, "fault", saga_column(short=True), "consequence")
    list_filter = (
        ("dealt_with_at", admin.EmptyFieldListFilter), text_filter("reason"), text_filter("queue"),
    )  # fmt: skip
    actions = ("deal_with",)
    search_ids = ("saga", "task_id")
    search_fields = ("task__icontains",)
    search_help_text = "saga id, command id or task"
    ordering = ("-received_at",)
    fields = (
        "received_at", REASON, "queue", "task", "task_id", saga_column(), "step", "operation", "fault",
        "consequence", "dealt_with_at", "dealt_with_by", json_column("headers"), json_column("body"),
    )  # fmt: skip

    def has_act_permission(self, request: HttpRequest, _: Any = None) -> bool:
        return request.user.has_perm("saga.change_deadletter")

    @action(description="Dealt with", permissions=["act"])
    def deal_with(self, request: HttpRequest, chosen: QuerySet[DeadLetter]) -> None:
        """Say that nothing is left to do about these letters; those that were dealt with before stay as they are."""
        fresh = chosen.filter(dealt_with_at__isnull=True)
        count = fresh.update(dealt_with_at=Now(), dealt_with_by=request.user.get_username())
        self.message_user(request, f"{count} dealt with; they are deleted after their time", messages.SUCCESS)


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    list_display = (
        "at",
        VERB,
        TARGET,
        saga_column("saga_id", "saga", short=True),
        id_column("subject", "about"),
        "by",
        "why",
    )
    list_filter = (text_filter("by"), text_filter("verb"))
    search_ids = ("saga", "subject")
    search_fields = ("by__icontains",)
    search_help_text = "saga id, order id or person"
    ordering = ("-at", "-id")
    fields = ("at", VERB, TARGET, saga_column("saga_id", "saga"), "subject", "by", "why", EFFECT)
