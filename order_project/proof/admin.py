"""Admin pages of the proof: promises that were found broken, and the statements of the days."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from celery_config.messaging.dealt_with import DEALT_WITH_FILTER, DealtWithAdmin
from celery_config.messaging.models import DEALT_WITH
from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.columns import id_column
from order_project.proof.models import BrokenPromise, DailyStatement


@admin.register(BrokenPromise)
class BrokenPromiseAdmin(DealtWithAdmin):
    list_display = ("found_at", id_column("order"), "what", "dealt_with_at")
    list_filter = (DEALT_WITH_FILTER,)
    search_ids = ("order",)
    search_help_text = "order id"
    fields = ("order", "ended_at", "what", "found_at", "advice", *DEALT_WITH)
    nothing_yet = "No order that was proved has broken a promise."

    @admin.display(description="what to do")
    def advice(self, row: BrokenPromise) -> Any:
        return (
            "Open the order and compare what each service says of it. Mend what is wrong there, then say here that it"
            " is dealt with. ./manage.py order audit compares everything again."
        )


@admin.register(DailyStatement)
class DailyStatementAdmin(ReadOnlyAdmin):
    list_display = ("day", "orders", "violations", "books", "copies")
    fields = ("day", "orders", "violations", "books", "copies", "made_at")
    nothing_yet = "One is written for each day (UTC), once all that has ended in it is proved."
