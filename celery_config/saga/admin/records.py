"""What is kept of what operators did."""

from __future__ import annotations

from django.contrib import admin

from celery_config.saga.admin.widgets import BY, EFFECT, TARGET, VERB
from celery_config.saga.models import OperatorAction
from celery_config.saga.operations.acts import TITLES
from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.columns import id_column, saga_column
from celery_config.web.lists import WordsFilter, text_filter


class ActFilter(WordsFilter):
    """By the name that the button of the act has."""

    title, parameter_name, words = "act", "verb", TITLES


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
    list_filter = (text_filter("by"), ActFilter)
    search_ids = ("saga", "subject")
    search_fields = ("by__icontains",)
    search_help_text = "saga id, order id or person"
    ordering = ("-at", "-id")
    fields = ("at", VERB, TARGET, saga_column("saga_id", "saga"), "subject", BY, "why", EFFECT)
    nothing_yet = "No operator has acted yet."
