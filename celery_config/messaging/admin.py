"""Admin pages of barrier, outbox, inbox, keys and contradictions in every service: read-only, and in plain words.

The acts are to send again what the outbox has set aside, and to say that a contradiction is dealt with.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator
from django.utils.translation import ngettext

from celery_config.common.services import ORCHESTRATOR, SERVICES
from celery_config.contracts.privacy import hide_quoted
from celery_config.messaging.contradictions import ACTION_WORDS, TRIED_WORDS, advise, describe_reason
from celery_config.messaging.dealt_with import (
    DEALT_WITH_FILTER,
    DealtWithAdmin,
    WhyActionForm,
    find_why,
)
from celery_config.messaging.inbox.subscriptions import subscriptions
from celery_config.messaging.models import (
    DEALT_WITH,
    SET_ASIDE,
    BarrierRow,
    Contradiction,
    IdempotencyKey,
    InboxEntry,
    OutboxMessage,
)
from celery_config.messaging.outbox import set_aside
from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.columns import (
    EMPTY,
    id_column,
    join_lines,
    label_column,
    make_anchor,
    make_table,
    message_column,
    saga_column,
    said_column,
    table_column,
    words_column,
)
from celery_config.web.elsewhere import find_url, tasks_url
from celery_config.web.lists import WordsFilter, text_filter

MAX_SHOWN = 60
OUTCOMES = {
    "done": "success",
    "refused": "danger",
    "intent": "warning",
    "tombstone": "info",
}
UNDO_WORDS = {"intent": "called, no answer yet", "done": "undone"}
ACTION = label_column("action", OUTCOMES, "what came of it", words=ACTION_WORDS)
UNDO = label_column("undo", OUTCOMES, "its undoing", words=UNDO_WORDS)


class ActionFilter(WordsFilter):
    title, parameter_name, words = "what came of it", "action__exact", ACTION_WORDS


class UndoFilter(WordsFilter):
    title, parameter_name, words = "its undoing", "undo__exact", UNDO_WORDS


def describe_handler(name: str) -> str:
    """What a handler of events does; of one that this code no longer has, its name."""
    known = next((each.handler for each in subscriptions if each.name == name), None)
    text = (known.__doc__ or "").strip().partition("\n")[0] if known else ""
    return text or name.rpartition(".")[2].replace("_", " ")


@admin.register(BarrierRow)
class BarrierAdmin(ReadOnlyAdmin):
    list_display = (id_column("saga"), "step", ACTION, UNDO, "tries", "created_at", "updated_at")
    list_filter = (ActionFilter, UndoFilter, text_filter("step"))
    search_ids = ("saga", "key")
    search_help_text = "saga id"
    ordering = ("-created_at",)
    fields = (
        saga_column(), "tasks", "step", ACTION, UNDO, "asked", "answered", "note", "tries", "tried_for", "last_error",
        "next_try_at", "created_at", "updated_at", "key", "command", "command_hash",
    )  # fmt: skip

    @admin.display(description="tried was")
    def tried_for(self, row: BarrierRow) -> str:
        return TRIED_WORDS.get(row.tried, EMPTY)

    @admin.display(description="asked for")
    def asked(self, row: BarrierRow) -> Any:
        return make_table(row.request)

    @admin.display(description="answer")
    def answered(self, row: BarrierRow) -> Any:
        """An answer may name an amount alone; its currency is that of what was asked for, if it has one."""
        asked = row.request if isinstance(row.request, dict) else {}
        return make_table(row.reply, asked.get("currency"))

    @admin.display(description="its messages")
    def tasks(self, row: BarrierRow) -> Any:
        url = tasks_url(row.saga)
        return make_anchor(url, "tasks in Flower") if url else EMPTY


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
        "id", "transaction", "kind", "name", saga_column(), "route", message_column("payload"), "due_at",
        "published_at", "hold", said_column("fault"), "created_at",
    )  # fmt: skip

    @admin.display(description="fault")
    def short_fault(self, row: OutboxMessage) -> str | None:
        """The whole of it is on the row's own page."""
        return Truncator(hide_quoted(row.fault)).chars(MAX_SHOWN) if row.fault else None

    @admin.action(description="Send again what was set aside", permissions=["act"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[OutboxMessage]) -> None:
        if not (why := find_why(self, request)):
            return
        chosen = list(queryset.filter(SET_ASIDE))
        for row in chosen:
            fault = hide_quoted(row.fault or "")
            self.log_change(request, row, f"sent again: {why}; it was set aside: {fault}")
        set_aside.send_again(chosen, by=request.user.get_username(), why=why)
        count = len(chosen)
        told = ngettext("Done: %(count)d row is sent again", "Done: %(count)d rows are sent again", count)
        self.message_user(request, told % {"count": count}, messages.SUCCESS)


@admin.register(InboxEntry)
class InboxAdmin(ReadOnlyAdmin):
    list_display = (id_column("event"), "purpose", "received_at")
    list_filter = (text_filter("handler"),)
    search_ids = ("event",)
    search_help_text = "event id"
    ordering = ("-received_at",)
    fields = ("event", "purpose", "received_at", "handler")

    @admin.display(description="what it was for")
    def purpose(self, entry: InboxEntry) -> str:
        return describe_handler(entry.handler)


@admin.register(Contradiction)
class ContradictionAdmin(DealtWithAdmin):
    # A reason may be long: it is on the page of its row.
    list_display = (
        "event",
        words_column("kind", "what it says happened"),
        id_column("subject", "order"),
        "received_at",
    )
    list_filter = (DEALT_WITH_FILTER, text_filter("kind"))
    search_ids = ("subject", "key")
    search_help_text = "order id or idempotency key"
    ordering = ("-received_at",)
    fields = (
        words_column("kind", "what it says happened"), "against", table_column("told", "what it says"), "order",
        "advice", *DEALT_WITH, "received_at", "event", "key",
    )  # fmt: skip

    @admin.display(description="what is against it")
    def against(self, row: Contradiction) -> Any:
        return join_lines(describe_reason(row.reason, row.told))

    @admin.display(description="order")
    def order(self, row: Contradiction) -> Any:
        return make_anchor(find_url(ORCHESTRATOR, row.subject), row.subject)

    @admin.display(description="what to do")
    def advice(self, row: Contradiction) -> str:
        return advise(settings.SERVICE, SERVICES[settings.SERVICE].outside)


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    list_display = ("made", id_column("subject"), "status", "created_at")
    search_ids = ("subject",)
    search_help_text = "id of the order, customer or saga"
    ordering = ("-created_at",)
    fields = ("digest", "request_hash", "status", "made", "subject", "created_at")
