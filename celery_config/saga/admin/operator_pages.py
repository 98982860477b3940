"""Operator pages: the verbs on the page of a flow, and in its list. Each shows first what it would do, and asks why."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.shortcuts import redirect
from django.urls import URLPattern, path
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action, display

from celery_config.errors import OperatorRefused
from celery_config.saga.admin.acted import (
    ACTED,
    ActedFilter,
    build_acted,
    find_acted,
    get_acted_url,
    read_acted,
)
from celery_config.saga.admin.batches import BatchFilter
from celery_config.saga.admin.bulk_actions import WHOLE, show_bulk_page, take_first
from celery_config.saga.admin.cause import (
    VERB,
    FailingFilter,
    FingerprintFilter,
    build_cause,
    filter_cause,
    get_cause_url,
    name_cause,
)
from celery_config.saga.admin.forms import SeenForm, WhyForm
from celery_config.saga.admin.settle import settle_page
from celery_config.saga.admin.story import STORY, StoryMedia, build_story
from celery_config.saga.admin.widgets import (
    WORDS_OF_STATUSES,
    build_evidence,
    confirm_and_act,
    get_page_url,
    make_status_label,
)
from celery_config.saga.batches.choosing import make_batch
from celery_config.saga.engine.flows import WatchedFlow, find_flow
from celery_config.saga.models import WatchedRow
from celery_config.saga.operations import barrier_client, bulk_previews, operators, previews
from celery_config.saga.operations.advice import TITLES, advise, recommend_verb
from celery_config.saga.operations.explanation import find_hindrance, find_line
from celery_config.saga.operations.flow_reader import read_flow, read_flows
from celery_config.saga.operations.wording import describe_effect, describe_status
from celery_config.saga.states import ENDED, Status
from celery_config.web.admin import ReadOnlyAdmin, WordsFilter
from celery_config.web.columns import EMPTY, column, number_column, time_column
from celery_config.web.forms import is_valid_key
from celery_config.web.live import answer_fragment

ASK = "ask"
DECIDED_ABOUT = (Status.PARKED, Status.STOPPING)


# The label says it: beside wall-clock times, saga times look wrong.
DRIVEN = (
    number_column("attempt", "sent again"),
    number_column("drives", "of these since it has this status"),
    time_column("since", "in this status since (saga time)"),
    time_column("deadline_at", "deadline (saga time)"),
    time_column("due_at", "looked at next (saga time)"),
)
DECIDED = (
    column("text", "owner", "who decides", lambda row: row.owner or EMPTY),
    time_column("answer_by", "to be decided by"),
    column("text", "fingerprint", "why it waits", lambda row: row.fingerprint or EMPTY),
)


class StatusFilter(WordsFilter):
    title, parameter_name, words = "status", "status__exact", WORDS_OF_STATUSES


FLOW_FILTERS = (FingerprintFilter, FailingFilter, ActedFilter, BatchFilter)


class OperatorPages(ReadOnlyAdmin):
    """The admin of the rows of a watched flow."""

    actions = ("retry_each", "compensate_each")
    # Django keeps no history of rows that are not edited.
    actions_detail_hide_default = True
    change_form_outer_before_template = "saga/standing.html"
    list_before_template = "saga/list_top.html"
    Media = StoryMedia
    answers: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Examples of what a provider answers, by the wire name of the command, for calls that are settled by hand."""

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Add to each row of the page why it waits, fails or was stopped: with two queries for all."""
        page: Any = super().get_changelist_instance(request)
        rows = list(page.result_list)
        facts = read_flows(rows)
        for row in rows:
            row.line = find_line(facts[row.pk]) or find_hindrance(facts[row.pk])
        page.result_list = rows
        page.cause = build_cause(page, facts.values(), may_act=self.has_act_permission(request))
        page.acted = find_acted(page)
        return page  # type: ignore[no-any-return]

    @display(description="why")
    def why(self, row: Any) -> str:
        return row.line or EMPTY

    @property
    def flow(self) -> WatchedFlow[Any, Any]:
        return find_flow(self.model)

    @property
    def actions_detail(self) -> tuple[str, ...]:
        return (*self.flow.verbs, "take_over", "settle_by_hand")

    def is_offered(self, action_name: str, row: WatchedRow) -> bool:
        """Whether an action fits the status of the row."""
        if verb := self.flow.verbs.get(action_name):
            return row.status in verb.triggers
        return row.status in ((Status.PARKED,) if action_name == "take_over" else operators.IN_DOUBT)

    def has_act_permission(self, request: HttpRequest, _: Any = None) -> bool:
        """Users with `change_sagainstance` may act; no user edits a row."""
        return request.user.has_perm("saga.change_sagainstance")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[UnfoldAction]:
        """Only the verbs that fit the status."""
        row = self.get_object(request, object_id)
        names = {
            self.get_unfold_action(name).action_name
            for name in self.actions_detail
            if row and self.is_offered(name, row)
        }
        offered = super().get_actions_detail(request, object_id)
        return [verb for verb in offered if verb.action_name in names]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        """Ask the participants about parked and stopping rows; about others, which need no decision, by a button."""
        if obj:
            is_asked = obj.status in DECIDED_ABOUT or ASK in request.GET
            context |= {
                "actions_detail": None,  # they stand beside the sentence
                "story": self.build_story(request, obj),
                "standing": self.read_evidence(obj) if is_asked else None,
                "may_ask": not is_asked,
            }
        answer: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return answer

    def build_story(self, request: HttpRequest, row: WatchedRow) -> dict[str, Any]:
        """Return the context of the row's fragment, with the verbs that fit; the recommended one comes first."""
        facts = read_flow(row)
        names = [name for name in self.actions_detail if self.is_offered(name, row)]
        recommended = recommend_verb(facts)
        verbs = [
            {
                "title": self.get_unfold_action(name).description,
                "path": get_page_url(row, name),
                "is_recommended": name == recommended,
            }
            for name in sorted(names, key=lambda name: name != recommended)
        ]
        return {
            **build_story(row, facts, url=get_page_url(row, "story")),
            "verbs": verbs if self.has_act_permission(request) else [],
            "owner": row.owner,
        }

    def name_view(self, view: str) -> str:
        return f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}"

    def get_urls(self) -> list[URLPattern]:
        views = {
            "each": ("each/", self.each_view),
            "acted": ("acted/", self.acted_view),
            "story": ("<path:object_id>/story/", self.story_view),
        }
        own = [
            path(route, self.admin_site.admin_view(view), name=self.name_view(name).partition(":")[2])
            for name, (route, view) in views.items()
        ]
        return [*own, *super().get_urls()]

    def each_view(self, request: HttpRequest) -> HttpResponse:
        """A verb for all that wait, or fail, for one cause; a POST acts on those that the page showed.

        Of more than a page takes, a POST makes a batch.
        """
        if not self.has_act_permission(request):
            raise PermissionDenied
        verb, cause = request.GET.get(VERB, ""), name_cause(request.GET.dict())
        if verb not in self.flow.verbs or not cause:
            return HttpResponseNotFound()
        rows = self.get_queryset(request)
        if WHOLE in request.POST:
            return self.make_batch_from(
                request, filter_cause(rows, cause), verb, get_cause_url(self.model, cause)
            )
        if request.method == "POST":
            keys = request.POST.getlist(ACTION_CHECKBOX_NAME)
            rows = rows.filter(pk__in=[key for key in keys if is_valid_key(self.opts.pk, key)])
        else:
            rows = filter_cause(rows, cause)
        first, left = take_first(rows.order_by("pk"))
        (line,) = cause.values()
        back = get_cause_url(self.model, cause)
        return show_bulk_page(self, request, first, verb, back=back, left=left, line=line)

    def make_batch_from(
        self, request: HttpRequest, rows: QuerySet[Any], verb: str, back: str
    ) -> HttpResponse:
        """Make a batch of these rows and lead to its page; without a reason, lead back."""
        why = WhyForm(request.POST)
        try:
            if not why.is_valid():
                raise OperatorRefused("say why: it is kept with your name")
            batch = make_batch(
                self.flow, rows, verb, chosen_by=name_cause(request.GET.dict()),
                by=request.user.get_username(), why=why.cleaned_data["why"],
            )  # fmt: skip
        except OperatorRefused as refusal:
            self.message_user(request, f"Nothing was changed: {refusal}", messages.ERROR)
            return redirect(back)
        return redirect(get_page_url(batch))

    def acted_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the fragment that counts what became of the rows that were acted on at once."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        acts = request.GET.get(ACTED, "")
        acted = {**build_acted(self.model, acts, read_acted(acts)), "list": get_acted_url(self.model, acts)}
        return answer_fragment(request, "saga/acted.html", {"acted": acted})

    def story_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with the fragment that the page asks for again; it asks no participant."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            return HttpResponseNotFound()
        story = self.build_story(request, row)
        if row.status in ENDED:
            story["below"] = {"url": get_page_url(row), "form": f"#{self.opts.model_name}_form"}
        return answer_fragment(request, STORY, {"story": story})

    def read_evidence(self, row: WatchedRow) -> dict[str, Any]:
        """Ask the participants, and return what the owner must see at the top of the page (rule 25, parked)."""
        try:
            course = self.flow.find_course(row)
        except OperatorRefused as refusal:
            return {"warnings": [str(refusal)]}
        return build_evidence(row, course, barrier_client.read_barriers(course.steps, row.pk))

    @action(description=TITLES["retry"], icon="task_alt", permissions=["act"])
    def retry(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.show_verb(request, object_id, "retry")

    @action(description=TITLES["compensate"], icon="undo", permissions=["act"])
    def compensate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.show_verb(request, object_id, "compensate")

    @action(description=TITLES["resume"], icon="fast_forward", permissions=["act"])
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.show_verb(request, object_id, "resume")

    @action(description="Take over", icon="person_add", permissions=["act"], url_path="take-over")
    def take_over(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.redirect_to_list(request, object_id)
        return confirm_and_act(
            self, request, WhyForm(request.POST or None), get_page_url(row),
            partial(operators.take_over, row), partial(self.read_evidence, row),
            title=f"Take over {row}", original=row, button="Take over",
            about=f"You become its owner, who decides about it, in the place of {row.owner}. Nothing is sent.",
            refused="" if row.status == Status.PARKED else operators.UNOWNED.format(describe_status(row.status)),
        )  # fmt: skip

    @action(description="Settle by hand", icon="edit_note", permissions=["act"], url_path="settle")
    def settle_by_hand(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.redirect_to_list(request, object_id)
        return settle_page(self, request, row, get_page_url(row), self.answers)

    def show_verb(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.redirect_to_list(request, object_id)
        form = SeenForm(request.POST or None, initial={"seen": row.status})
        if form.is_valid() and form.cleaned_data["seen"] != row.status:
            words = describe_status(row.status)
            moved = f"Nothing was changed: it is “{words}” meanwhile. This is what would happen now."
            self.message_user(request, moved, messages.WARNING)
            form = SeenForm(initial={"seen": row.status, "why": form.cleaned_data["why"]})
        title = self.get_unfold_action(name).description
        return confirm_and_act(
            self, request, form, get_page_url(row), partial(operators.perform, row, name),
            partial(self.build_preview_context, row, name), title=f"{title}: {row}",
            original=row, button=title, about=self.flow.verbs[name].label,
            describe=lambda done: f"{title}: {describe_effect(done.effect)}. Watch here what becomes of it.",
        )  # fmt: skip

    def build_preview_context(self, row: WatchedRow, verb: str) -> dict[str, Any]:
        """Return what the verb would do, and what the operator must see first."""
        preview = previews.preview(row, verb)
        going = {
            "before": make_status_label(preview.before),
            "after": make_status_label(preview.after),
            "branches": preview.branches,
        }
        shown = build_evidence(row, self.flow.find_course(row), preview.barriers)
        lasting = bulk_previews.describe_lasting([row])
        mend = advise(find_hindrance(read_flow(row)))
        return {"refused": preview.refused, "going": going, "mend": mend, "lasting": lasting, **shown}

    @admin.action(description=f"{TITLES['retry']}…", permissions=["act"])
    def retry_each(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
        return self.show_chosen(request, rows, "retry")

    @admin.action(description=f"{TITLES['compensate']}…", permissions=["act"])
    def compensate_each(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
        return self.show_chosen(request, rows, "compensate")

    def show_chosen(self, request: HttpRequest, rows: QuerySet[Any], verb: str) -> HttpResponse:
        first, left = take_first(rows)
        return show_bulk_page(self, request, first, verb, back=request.get_full_path(), left=left)
