"""Pages of one flow: its story, what its services say, and each verb, which shows first what it would do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.shortcuts import redirect
from django.urls import URLPattern
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action

from celery_config.errors import OperatorRefused
from celery_config.saga.admin.flow_admin import FlowAdmin
from celery_config.saga.admin.forms import DeadlineForm, SeenForm, WhyForm
from celery_config.saga.admin.holds import show_hold_page
from celery_config.saga.admin.settle import settle_page
from celery_config.saga.admin.story import STORY, StoryMedia, build_story
from celery_config.saga.admin.widgets import build_evidence, confirm_and_act, describe_going
from celery_config.saga.holds.choosing import choose_flows
from celery_config.saga.models import WatchedRow
from celery_config.saga.operations import barrier_client, bulk_previews, operators, previews, timing
from celery_config.saga.operations.acts import name_act, title_act
from celery_config.saga.operations.advice import advise, recommend_verb
from celery_config.saga.operations.explanation import find_hindrance
from celery_config.saga.operations.flow_reader import read_flow
from celery_config.saga.operations.wording import describe_status, end_sentence
from celery_config.saga.states import ENDED, OPEN, Status
from celery_config.web.columns import get_page_url
from celery_config.web.live import answer_fragment

ASK = "ask"
DECIDED_ABOUT = (Status.PARKED, Status.STOPPING)


class PagesOfOne(FlowAdmin):
    # Django keeps no history of rows that are not edited.
    actions_detail_hide_default = True
    change_form_outer_before_template = "saga/standing.html"
    Media = StoryMedia
    answers: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Examples of what a provider answers, by the wire name of the command, for calls that are settled by hand."""

    def get_urls(self) -> list[URLPattern]:
        views = {"story": ("<path:object_id>/story/", self.story_view)}
        return [*self.make_urls(views), *super().get_urls()]

    @property
    def actions_detail(self) -> tuple[str, ...]:
        return (*self.flow.verbs, "take_over", "settle_by_hand", "look_now", "deadline", "hold")

    def is_offered(self, action_name: str, row: WatchedRow) -> bool:
        """Whether an action fits the status of the row."""
        if verb := self.flow.verbs.get(action_name):
            return row.status in verb.triggers
        match action_name:
            case "take_over":
                return row.status == Status.PARKED
            case "look_now":
                return not timing.explain_look_refusal(row)
            case "deadline":
                return not timing.explain_deadline_refusal(row)
            case "hold":
                return row.status in OPEN and row.held_since is None
        return row.status in operators.IN_DOUBT

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
        names = [
            name
            for name in self.actions_detail
            if self.is_offered(name, row) and self.is_permitted(name, request)
        ]
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
            "verbs": verbs,
            "owner": row.owner,
        }

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

    @action(description=name_act("retry"), icon="task_alt", permissions=["retry"])
    def retry(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.show_verb(request, object_id, "retry")

    @action(description=name_act("compensate"), icon="undo", permissions=["compensate"])
    def compensate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.show_verb(request, object_id, "compensate")

    @action(description=name_act("resume"), icon="fast_forward", permissions=["resume"])
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.show_verb(request, object_id, "resume")

    @action(
        description=name_act("take over"), icon="person_add", permissions=["take_over"], url_path="take-over"
    )
    def take_over(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.redirect_to_list(request, object_id)
        return confirm_and_act(
            self, request, WhyForm(request.POST or None), get_page_url(row),
            partial(operators.take_over, row), partial(self.read_evidence, row),
            title=title_act("take over", row), original=row, button=name_act("take over"),
            about=f"You become its owner, who decides about it, in the place of {row.owner}. Nothing is sent.",
            refused="" if row.status == Status.PARKED else operators.UNOWNED.format(describe_status(row.status)),
        )  # fmt: skip

    @action(
        description=name_act("settle by hand"),
        icon="edit_note",
        permissions=["settle_by_hand"],
        url_path="settle",
    )
    def settle_by_hand(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.redirect_to_list(request, object_id)
        return settle_page(self, request, row, get_page_url(row), self.answers)

    @action(description=name_act("look now"), icon="visibility", permissions=["look_now"], url_path="look")
    def look_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.redirect_to_list(request, object_id)
        return confirm_and_act(
            self, request, WhyForm(request.POST or None), get_page_url(row), partial(timing.look_now, row),
            title=title_act("look now", row), original=row, button=name_act("look now"),
            about="The watchdog looks in the next second, and sends again what is missing of one that is silent",
            refused=timing.explain_look_refusal(row),
        )  # fmt: skip

    @action(description=name_act("deadline"), icon="edit_note", permissions=["deadline"])
    def deadline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.redirect_to_list(request, object_id)
        form = DeadlineForm(request.POST or None)

        def act(*, by: str, why: str) -> Any:
            return timing.move_deadline(row, minutes=form.cleaned_data["minutes"], by=by, why=why)

        return confirm_and_act(
            self, request, form, get_page_url(row), act, title=title_act("deadline", row), original=row,
            button=name_act("deadline"), refused=timing.explain_deadline_refusal(row),
            about="What has not ended by its deadline is stopped and undone. Of one that is held, the time counts from"
            " when it is let go",
        )  # fmt: skip

    @action(description=name_act("hold"), icon="pause", permissions=["hold"])
    def hold(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.redirect_to_list(request, object_id)
        try:
            target = choose_flows(self.model._default_manager.filter(pk=row.pk))
        except OperatorRefused as refusal:
            self.message_user(request, f"Nothing was changed: {refusal}", messages.ERROR)
            return redirect(get_page_url(row))
        return show_hold_page(self, request, target, get_page_url(row), original=row)

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
        return confirm_and_act(
            self, request, form, get_page_url(row), partial(operators.perform, row, name),
            partial(self.build_preview_context, row, name), title=title_act(name, row), original=row,
            button=name_act(name), about=self.flow.verbs[name].label, after="Watch here what becomes of it.",
        )  # fmt: skip

    def build_preview_context(self, row: WatchedRow, verb: str) -> dict[str, Any]:
        """Return what the verb would do, and what the operator must see first."""
        preview = previews.preview(row, verb)
        going = describe_going(preview)
        shown = build_evidence(row, self.flow.find_course(row), preview.barriers)
        lasting = bulk_previews.describe_lasting([row])
        mend = advise(find_hindrance(read_flow(row)))
        warnings = [end_sentence(preview.warning)] if preview.warning else []
        return {
            "refused": preview.refused, "going": going, "mend": mend, "lasting": lasting, "warnings": warnings, **shown,
        }  # fmt: skip
