"""Read-only admin pages of copies and tombstones, in every service."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display

from celery_config.copies import freshness
from celery_config.copies.models import CopyState, Tombstone
from celery_config.copies.registry import copies
from celery_config.db import functions
from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.columns import make_label, number_column, spell_code, words_column
from celery_config.web.lists import text_filter

NAME = words_column("name", "copy")


@admin.register(CopyState)
class CopyAdmin(ReadOnlyAdmin):
    list_display = (NAME, "source", "behind", "looked_at", number_column("rows"), "equal", "checked_at")
    search_fields = ("name__icontains",)
    search_help_text = "name of a copy"
    ordering = ("name",)
    fields = (
        NAME, "source", "behind", "behind_since", "looked_at", "epoch", "cursor",
        number_column("rows"), number_column("differing"), "checked_at", "check_due_at",
    )  # fmt: skip

    @display(description="source")
    def source(self, state: CopyState) -> str:
        copy = copies.get(state.name)
        return f"{spell_code(copy.source)} of {copy.service}" if copy else "no longer kept"

    @display(description="behind")
    def behind(self, state: CopyState) -> str:
        """Age of the oldest change that the copy does not have."""
        lag = freshness.compute_lag(state, functions.fetch_now())
        return "unknown" if lag is None else f"{lag:.1f} s"

    @display(description="compared")
    def equal(self, state: CopyState) -> Any:
        if state.differing is None:
            return "-"
        text = f"{state.differing} differ" if state.differing else "equal"
        return make_label(text, {text: "danger" if state.differing else "success"})

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(copies) and super().has_module_permission(request)


@admin.register(Tombstone)
class TombstoneAdmin(ReadOnlyAdmin):
    list_display = ("source", "key", "version", "deleted_at")
    list_filter = (text_filter("source"),)
    search_fields = ("key__exact",)
    search_help_text = "the whole key"
    ordering = ("-id",)
    fields = ("source", "key", "version", "deleted_at")
