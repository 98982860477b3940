"""The workbench of dead letters: their groups, one letter whole, what may be done about it, and what became of it."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.decorators import action

from celery_config.common.identifiers import parse_uuid
from celery_config.contracts.privacy import SHOWN_NAME, hide_name
from celery_config.errors import OperatorRefused
from celery_config.messaging.dealt_with import DEALT_WITH_FILTER, DealtWithAdmin, find_why
from celery_config.messaging.models import DEALT_WITH
from celery_config.saga.admin.batches import LetterBatchFilter
from celery_config.saga.admin.forms import WhyForm
from celery_config.saga.admin.story import StoryMedia
from celery_config.saga.admin.widgets import (
    LINK,
    break_words,
    confirm_and_act,
    count_rows,
    render_confirmation,
)
from celery_config.saga.batches.choosing import make_batch
from celery_config.saga.batches.letters import LETTERS
from celery_config.saga.dead_letters import remedies
from celery_config.saga.dead_letters.reading import BodyField, Group, read_body, read_groups, show_fault
from celery_config.saga.dead_letters.remedies import (
    ABOUT,
    Remedy,
    find_flows,
    find_refusal,
    list_offers,
    name_letter,
)
from celery_config.saga.dead_letters.sending import ERASED
from celery_config.saga.dead_letters.showing import SHOW, show_letter
from celery_config.saga.models import DeadLetter, LetterAct, LetterGroup
from celery_config.saga.operations.acts import name_act, title_act
from celery_config.saga.operations.permissions import MAKES_BATCHES, PERMISSIONS, list_needs
from celery_config.saga.operations.wording import describe_status
from celery_config.web.board import make_table
from celery_config.web.columns import (
    EMPTY,
    Column,
    column,
    format_ago,
    format_number,
    get_page_url,
    make_label,
    message_column,
    saga_column,
    words_column,
)
from celery_config.web.lists import ShownNameFilter, text_filter
from celery_config.web.search import find_keys

FINGERPRINT, VERB, FAULT_HERE = "fingerprint", "verb", "the fault is here"
REASON = words_column("reason")
VIEWS = {
    LetterAct.REBUILD.value: "rebuild",
    LetterAct.SEND.value: "send_again",
    LetterAct.DISMISS.value: "dismiss",
}
SHOW_ABOUT = (
    "The page shows the names, addresses and other texts that the letter holds."
    " The trail keeps your name and your reason."
)
WHOLE_TEXT = (
    "A batch takes all open letters of the group: it checks each first, and you start it on its page."
)


def describe_outcome(letter: DeadLetter) -> str:
    """Return what was done about a letter, and what became of it."""
    if not letter.dealt_with_at:
        return "open"
    if not letter.act or letter.act == LetterAct.DISMISS:
        return "dismissed"
    return f"{LetterAct(letter.act).label}: {describe_status(letter.became) or 'on its way'}"


OUTCOME = column("text", "became", "what became of it", describe_outcome)
FAULT = column("said", "fault", "", lambda row: show_fault(row) or EMPTY)


def name_column(path: str) -> Column:
    """A name as its sender wrote it, hidden if it does not look like one."""
    return column("name", path, "", lambda row: hide_name(getattr(row, path)) or EMPTY)


TASK = name_column("task")


class GroupFilter(admin.SimpleListFilter):
    """Filter by group; it is offered where a link leads to it alone."""

    title, parameter_name = "group", FINGERPRINT

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        group = request.GET.get(FINGERPRINT)
        return [(group, "this group")] if group else []

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(fingerprint=group) if (group := self.value()) else rows


@admin.register(DeadLetter)
class DeadLetterAdmin(DealtWithAdmin):
    list_display = ("received_at", TASK, REASON, FAULT, saga_column(short=True), "consequence", OUTCOME)
    list_filter = (
        DEALT_WITH_FILTER, GroupFilter, LetterBatchFilter, text_filter("reason"), ("queue", ShownNameFilter),
    )  # fmt: skip
    list_before_template = "saga/letters_top.html"
    change_form_outer_before_template = "saga/letter.html"
    search_ids = ("saga", "task_id")
    search_help_text = "saga id, command id or task"
    ordering = ("-received_at",)
    fields = (
        "received_at", REASON, name_column("queue"), TASK, name_column("task_id"), saga_column(), name_column("step"),
        name_column("operation"), FAULT, "consequence", OUTCOME, *DEALT_WITH, message_column("headers"),
    )  # fmt: skip
    actions_detail = (*VIEWS.values(), "show")
    actions_detail_hide_default = True
    Media = StoryMedia

    def match_word(self, word: str, *, keys_only: bool = False) -> Q:
        """The letters with this id, or of a group with the word in the name of its task if that is shown.

        Groups are few, and an index finds the letters of each; the names of a million letters would be read one by one.
        """
        if parse_uuid(word):
            return super().match_word(word, keys_only=keys_only)
        named = Q(task__icontains=word, task__regex=SHOWN_NAME)
        return Q(fingerprint__in=find_keys(LetterGroup, named, "fingerprint"))

    def has_drive_permission(self, request: HttpRequest, _: Any = None) -> bool:
        """Who rebuilds a letter drives a flow."""
        return self.has_act_permission(request) and request.user.has_perm(PERMISSIONS[LetterAct.REBUILD])

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """A list shows no body."""
        rows: QuerySet[Any] = super().get_queryset(request)
        is_list = getattr(request.resolver_match, "url_name", "") == "saga_deadletter_changelist"
        return rows.defer("body", "headers") if is_list else rows

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.group_view)
        return [path("group/", view, name="saga_deadletter_group"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        fingerprint = request.GET.get(FINGERPRINT, "")
        chosen = read_groups(fingerprint=fingerprint) if fingerprint else []
        shown = {
            "groups": None if chosen else build_groups_table(read_groups()),
            "group": chosen[0] if chosen else None,
            "verbs": self.list_group_verbs(request, chosen),
        }
        answer: HttpResponse = super().changelist_view(request, {**(extra_context or {}), "letters": shown})
        return answer

    def list_group_verbs(self, request: HttpRequest, chosen: list[Group]) -> list[dict[str, Any]]:
        if not chosen:
            return []
        about = {FINGERPRINT: chosen[0].fingerprint}
        base = reverse("admin:saga_deadletter_group")
        return [
            {"title": name_act(act), "path": f"{base}?{urlencode({**about, VERB: act})}"}
            for act in VIEWS
            if may_make_batch(request, act)
        ]

    def group_view(self, request: HttpRequest) -> HttpResponse:
        """Ask why, make a batch of all open letters of a group, and lead to its page."""
        verb, fingerprint = request.GET.get(VERB, ""), request.GET.get(FINGERPRINT, "")
        if not may_make_batch(request, verb):
            raise PermissionDenied
        group = LetterGroup.objects.filter(pk=fingerprint).first()
        if group is None or verb not in VIEWS:
            return HttpResponseNotFound()
        rows = DeadLetter.objects.filter(fingerprint=fingerprint, dealt_with_at__isnull=True)
        form, back = WhyForm(request.POST or None), get_group_url(fingerprint)
        if not form.is_valid():
            return render_confirmation(
                self, request, form=form, back=back, button="Check all of them", about=ABOUT[verb],
                title=title_act(verb, count_rows(DeadLetter, rows.count())), mend=f"{group}. {WHOLE_TEXT}",
            )  # fmt: skip
        try:
            batch = make_batch(
                LETTERS, rows, verb, chosen_by={FINGERPRINT: fingerprint},
                by=request.user.get_username(), why=form.cleaned_data["why"],
            )  # fmt: skip
        except OperatorRefused as refusal:
            self.message_user(request, f"Nothing was changed: {refusal}", messages.ERROR)
            return redirect(back)
        return redirect(get_page_url(batch))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj:
            context |= {"actions_detail": None, "letter": self.build_letter(request, obj)}
        answer: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return answer

    def build_letter(self, request: HttpRequest, letter: DeadLetter) -> dict[str, Any]:
        """Return the context of the top of a letter's page: the acts, the recommended one first, and its body."""
        offers = list_offers(letter)
        fitting = [each.act for each in offers if not each.refused and self.may(request, each.act)]
        verbs = [
            {
                "title": name_act(act),
                "path": get_page_url(letter, VIEWS[act]),
                "is_recommended": act == fitting[0],
            }
            for act in fitting
        ]
        fields = read_body(letter)
        if any(each.is_hidden for each in fields) and self.has_act_permission(request):
            verbs.append({"title": name_act(SHOW), "path": get_page_url(letter, "show")})
        refused = [f"{name_act(each.act)} is not possible: {each.refused}" for each in offers if each.refused]
        return {
            "sentence": f"{show_fault(letter) or 'It cannot be said what is wrong'}. It is {describe_outcome(letter)}.",
            "refused": [] if letter.dealt_with_at else refused,
            "verbs": verbs,
            "tables": [("What it says", build_body_table(fields))],
        }

    def may(self, request: HttpRequest, act: str) -> bool:
        is_driving = act == LetterAct.REBUILD
        return self.has_drive_permission(request) if is_driving else self.has_act_permission(request)

    @action(description=name_act("rebuild"), icon="fast_forward", permissions=["drive"])
    def rebuild(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.show_act(request, object_id, LetterAct.REBUILD.value)

    @action(description=name_act("send again"), icon="send", permissions=["act"], url_path="send-again")
    def send_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.show_act(request, object_id, LetterAct.SEND.value)

    @action(description=name_act("dismiss"), icon="done", permissions=["act"])
    def dismiss(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.show_act(request, object_id, LetterAct.DISMISS.value)

    def show_act(self, request: HttpRequest, object_id: str, act: str) -> HttpResponse:
        letter = self.get_object(request, object_id)
        if letter is None:
            return self.redirect_to_list(request, object_id)
        refused = find_refusal(letter, act, find_flows([letter]))
        return confirm_and_act(
            self, request, WhyForm(request.POST or None), get_page_url(letter),
            partial(remedies.act_on, letter, act), title=title_act(act, name_letter(letter)), original=letter,
            button=name_act(act), about=ABOUT[act], refused=refused,
        )  # fmt: skip

    @action(description=name_act(SHOW), icon="visibility", permissions=["act"])
    def show(self, request: HttpRequest, object_id: str) -> HttpResponse:
        letter = self.get_object(request, object_id)
        if letter is None:
            return self.redirect_to_list(request, object_id)
        title, form = title_act(SHOW, name_letter(letter)), WhyForm(request.POST or None)
        if not letter.body or not form.is_valid():
            return render_confirmation(
                self, request, form=form, back=get_page_url(letter), title=title, about=SHOW_ABOUT,
                button="Show", refused="" if letter.body else ERASED, original=letter,
            )  # fmt: skip
        fields = show_letter(letter, by=request.user.get_username(), why=form.cleaned_data["why"])
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": title, "original": letter,
            "back": get_page_url(letter), "tables": [("What it says", build_body_table(fields))],
        }  # fmt: skip
        return TemplateResponse(request, "saga/shown.html", context, headers={"Cache-Control": "no-store"})

    @action(description=name_act("dismiss"), permissions=["act"])
    def deal_with(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        """Dismiss the chosen letters that are open."""
        if not (why := find_why(self, request)):
            return
        remedy = Remedy(LetterAct.DISMISS, request.user.get_username(), why)
        try:
            with transaction.atomic():
                rows = chosen.filter(dealt_with_at__isnull=True).defer("body", "headers").order_by("pk")
                acted = remedy.apply(list(rows.select_for_update()))
        except OperatorRefused as refusal:
            self.message_user(request, f"Nothing was changed: {refusal}", messages.ERROR)
            return
        refused = sorted({each.refusal for each in acted if each.refusal})
        count = sum(not each.refusal for each in acted)
        text = f"{count_rows(DeadLetter, count)} dismissed; they are deleted after their time"
        self.message_user(request, text, messages.SUCCESS)
        if refused:
            self.message_user(request, f"Nothing was changed of others: {'; '.join(refused)}", messages.ERROR)


def may_make_batch(request: HttpRequest, verb: str) -> bool:
    return bool(request.user.has_perms(list_needs(MAKES_BATCHES, verb, of_letters=True)))


def build_groups_table(groups: list[Group]) -> dict[str, Any]:
    rows = [
        [
            format_html(LINK, get_group_url(each.fingerprint), break_words(each.fault or "not known")),
            break_words(each.task or "not known"),
            format_number(each.count),
            format_ago(each.first_at),
            format_ago(each.last_at),
            each.release or EMPTY,
        ]
        for each in groups
    ]
    headers = ["what is wrong", "task", "how many", "first", "last", "since release"]
    return make_table(headers, rows, "No dead letter is open.")


def build_body_table(fields: list[BodyField]) -> dict[str, Any]:
    rows = [
        [
            break_words(each.path or "the whole body"),
            break_words(each.value),
            make_label(FAULT_HERE, {FAULT_HERE: "danger"}) if each.is_faulty else "",
        ]
        for each in fields
    ]
    return make_table(["field", "value", "fault"], rows, "Nothing: it has no body, or its body is erased.")


def get_group_url(fingerprint: str) -> str:
    """Return the address of the list of the open letters of a group."""
    base = reverse("admin:saga_deadletter_changelist")
    return f"{base}?{urlencode({FINGERPRINT: fingerprint, 'dealt_with_at__isempty': 1})}"
