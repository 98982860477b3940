"""Admin pages of notifications: rules with a test, incidents with an acknowledgement, and the log of messages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import ngettext
from unfold.decorators import action

from celery_config.common.conditions import KIND_WORDS
from celery_config.common.moments import format_span
from celery_config.common.money import money
from celery_config.errors import OperatorRefused
from celery_config.notifications.acknowledging import acknowledge
from celery_config.notifications.delivery import send_again, send_test
from celery_config.notifications.forms import NoteForm, NothingForm, RuleForm
from celery_config.notifications.models import Delivery, Incident, NotificationRule, Outcome
from celery_config.notifications.states import CONDITIONS, STATE_COLOURS, IncidentState, find_state
from celery_config.web.admin import ReadOnlyAdmin, ReadOnlyInline, ServiceAdmin
from celery_config.web.columns import (
    EMPTY,
    column,
    get_page_url,
    id_column,
    label_column,
    make_anchor,
    make_label,
    number_column,
)
from celery_config.web.lists import WordsFilter

OUTCOME_COLOURS = {
    Outcome.DUE.value: "warning",
    Outcome.SENT.value: "success",
    Outcome.FAILED.value: "danger",
}
OUTCOME = label_column("outcome", OUTCOME_COLOURS, words=dict(Outcome.choices))
MESSAGE = column("text", "message", "says", lambda row: row.get_message_display())
KIND = column("text", "kind", "what", lambda row: row.get_kind_display())
REPEATED = column("text", "repeat_seconds", "repeated", lambda rule: describe_repeats(rule.repeat_seconds))
STATE = column("label", "over_at", "state", lambda row: make_label(find_state(row), STATE_COLOURS))
ABOUT_TEST = (
    "A message that says that it is a test is sent to {} now; this waits for the answer, ten seconds at most."
)
ABOUT_ACKNOWLEDGEMENT = "{} It is not repeated any more; its end is told."


def describe_repeats(seconds: int) -> str:
    return f"every {format_span(timedelta(seconds=seconds))}" if seconds else "not repeated"


def show_act(
    page: ServiceAdmin, request: HttpRequest, row: Any, form: Form, *, title: str, about: str, button: str
) -> HttpResponse:
    """Show the page before an act."""
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts, "original": row, "title": title, "about": about, "button": button, "form": form,
        "back": get_page_url(row),
    }  # fmt: skip
    return TemplateResponse(request, "notifications/act.html", context)


@admin.register(Incident)
class IncidentAdmin(ReadOnlyAdmin):
    class DeliveryInline(ReadOnlyInline):
        model = Delivery
        fields = (MESSAGE, "number", "target", OUTCOME, "attempts", "sent_at", "next_at", "error")
        ordering = ("created_at",)
        verbose_name_plural = "messages"

    class StateFilter(WordsFilter):
        title, parameter_name, words = "state", "state", {each.value: each.value for each in IncidentState}

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            state = self.value()
            return queryset.filter(CONDITIONS[IncidentState(str(state))]) if state in self.words else queryset

    class KindFilter(WordsFilter):
        title, parameter_name = "what", "kind__exact"
        words = {kind.value: words.partition(":")[0] for kind, words in KIND_WORDS.items()}

    list_display = ("sentence", number_column("count"), STATE, "severity", "first_seen_at", "acknowledged_by")
    list_filter = (StateFilter, KindFilter)
    search_ids = ("id",)
    search_help_text = "incident id"
    ordering = ("-first_seen_at",)
    fields = (
        "sentence", "advice", "where", KIND, "severity", STATE, number_column("count"), "money", "first_seen_at",
        "last_seen_at", "over_at", "acknowledged_at", "acknowledged_by", "note", "id",
    )  # fmt: skip
    inlines = (DeliveryInline,)
    actions_detail = ("acknowledge",)
    nothing_yet = "Nothing has stood yet."

    @admin.display(description="to be mended")
    def advice(self, row: Incident) -> str:
        return row.facts.get("advice") or EMPTY

    @admin.display(description="look and mend")
    def where(self, row: Incident) -> Any:
        return make_anchor(row.link, "the page with the act")

    @admin.display(description="money")
    def money(self, row: Incident) -> str:
        amounts = row.facts.get("money", [])
        told = (f"{money(each['amount'], each['currency'])} {each['state']}" for each in amounts)
        return ", ".join(told) or EMPTY

    @action(description="Acknowledge…", icon="visibility", permissions=["act"])
    def acknowledge(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.redirect_to_list(request, object_id)
        form = NoteForm(request.POST or None)
        if not form.is_valid():
            about = ABOUT_ACKNOWLEDGEMENT.format(row.sentence)
            return show_act(self, request, row, form, title="Acknowledge", about=about, button="Acknowledge")
        try:
            acknowledge(row.pk, by=request.user.get_username(), note=form.cleaned_data["note"])
        except OperatorRefused as error:
            self.message_user(request, f"Nothing was changed: {error}", messages.ERROR)
        else:
            self.message_user(request, "Acknowledged: it is not repeated any more", messages.SUCCESS)
        return redirect(get_page_url(row))


@admin.register(NotificationRule)
class RuleAdmin(ServiceAdmin):
    form = RuleForm
    list_display = ("name", "enabled", "channel", "where", "least_severity", REPEATED)
    ordering = ("name",)
    actions_detail = ("send_test",)
    nothing_yet = "No message is sent: add a rule, or set NOTIFY_EMAILS."

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who may not change a rule sees neither what signs its webhooks nor their whole address."""
        fields = [*self.form.Meta.fields]
        if obj is None or self.has_change_permission(request, obj):
            return fields
        return [{"url": "where"}.get(name, name) for name in fields if name != "secret"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*super().get_readonly_fields(request, obj), "where")

    @admin.display(description="to")
    def where(self, rule: NotificationRule) -> str:
        return rule.target or EMPTY

    def has_test_permission(self, request: HttpRequest, _: Any = None) -> bool:
        return bool(self.has_change_permission(request))

    @action(description="Send a test…", icon="send", permissions=["test"])
    def send_test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        rule = self.get_object(request, object_id)
        if rule is None:
            return self.redirect_to_list(request, object_id)
        if request.method != "POST":
            about = ABOUT_TEST.format(rule.target)
            return show_act(
                self, request, rule, NothingForm(), title="Send a test", about=about, button="Send a test"
            )
        done = send_test(rule)
        if done.outcome == Outcome.SENT:
            self.message_user(request, f"Sent: {done.target} has accepted it", messages.SUCCESS)
        else:
            self.message_user(request, f"Not accepted by {done.target}: {done.error}", messages.ERROR)
        return redirect(get_page_url(rule))


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    class OutcomeFilter(WordsFilter):
        title, parameter_name, words = "what became of it", "outcome__exact", dict(Outcome.choices)

    list_display = (MESSAGE, "about", "target", OUTCOME, "attempts", "created_at", "error")
    list_select_related = ("incident",)
    list_filter = (OutcomeFilter,)
    search_ids = ("id", "incident")
    search_help_text = "message id or incident id"
    ordering = ("-created_at",)
    fields = (
        MESSAGE, "about", "number", "rule", "target", OUTCOME, "attempts", "created_at", "sent_at", "next_at", "error",
        id_column("id"),
    )  # fmt: skip
    actions = ("send_again",)
    nothing_yet = "Nothing was sent yet."

    @admin.display(description="about")
    def about(self, row: Delivery) -> Any:
        if row.incident is None:
            return EMPTY
        return make_anchor(get_page_url(row.incident), row.incident.sentence)

    @admin.action(description="Send again what was given up", permissions=["act"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        count = send_again(list(queryset))
        told = ngettext("%(count)d message is sent again", "%(count)d messages are sent again", count)
        self.message_user(request, told % {"count": count}, messages.SUCCESS)
