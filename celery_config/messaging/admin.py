"""Outbox, inbox and barrier in every service's admin: read-only."""

from __future__ import annotations

from django.contrib import admin

from celery_config.api.admin import FactAdmin
from celery_config.messaging.models import BarrierRow, InboxEntry, OutboxMessage


@admin.register(BarrierRow)
class BarrierAdmin(FactAdmin):
    list_display = ("saga", "step", "command", "action", "undo", "created_at", "updated_at")
    list_filter = ("action", "undo", "step")
    search_fields = ("=saga", "=key")
    search_help_text = "saga id"
    ordering = ("-created_at",)


@admin.register(OutboxMessage)
class OutboxAdmin(FactAdmin):
    list_display = ("id", "kind", "name", "saga", "due_at", "published_at")
    list_filter = ("kind", ("published_at", admin.EmptyFieldListFilter), "name")
    search_fields = ("=saga",)
    search_help_text = "saga id"
    ordering = ("-id",)


@admin.register(InboxEntry)
class InboxAdmin(FactAdmin):
    list_display = ("event", "handler", "received_at")
    list_filter = ("handler",)
    search_fields = ("=event",)
    search_help_text = "event id"
    ordering = ("-received_at",)
