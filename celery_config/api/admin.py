"""What the admin pages of all services share."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline


class FactsOnly:
    """Rows that are facts: to be read, found and filtered, never edited."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class FactAdmin(FactsOnly, ModelAdmin):  # type: ignore[misc]
    """A read-only page that never counts a large table."""

    show_full_result_count = False
    list_per_page = 50


class FactInline(FactsOnly, TabularInline):  # type: ignore[misc]
    extra = 0
    can_delete = False
    show_change_link: ClassVar[bool] = False
