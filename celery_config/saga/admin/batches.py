"""The pages of batches: what the dry run says, the verbs that steer a batch, and what became of its flows."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action

from celery_config.common.money import money
from celery_config.saga.admin.forms import WhyForm
from celery_config.saga.admin.story import StoryMedia
from celery_config.saga.admin.widgets import confirm_and_act, make_status_label
from celery_config.saga.batches.models import Batch
from celery_config.saga.batches.reading import BatchPart, find_items, list_warnings, read_parts, read_reasons
from celery_config.saga.batches.states import BatchState, ItemState
from celery_config.saga.batches.steering import (
    STEERS,
    explain_refusal,
    find_state_after,
    list_needs,
    name_steer,
    steer,
)
from celery_config.saga.batches.telling import WORDS, describe_state_change, tell_batch
from celery_config.saga.operations.acts import name_act, title_act
from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.board import make_table
from celery_config.web.columns import (
    EMPTY,
    column,
    format_number,
    format_time,
    get_page_url,
    label_column,
    make_label,
)
from celery_config.web.lists import WordsFilter
from celery_config.web.live import answer_fragment

BATCH = "batch"
NOT_CHECKED = "not checked yet"
COLOURS = {
    BatchState.CHECKING.value: "info",
    BatchState.READY.value: "warning",
    BatchState.TRYING.value: "info",
    BatchState.RUNNING.value: "info",
    BatchState.PAUSED.value: "warning",
    BatchState.STOPPED.value: "danger",
    BatchState.ENDED.value: "success",
}
GOES_ON = ("start", "resume")
TONES = {
    state: {"info": "busy", "warning": "held", "danger": "bad", "success": "good"}[colour]
    for state, colour in COLOURS.items()
}
STATE = label_column("state", COLOURS, words=WORDS)
VERB = column("text", "verb", "verb", lambda batch: name_act(batch.verb))
ABOUT = {
    "start": "What the dry run says is done now. A flow that has moved since it was chosen is left alone.",
    "pause": "No further flow is acted on until you let it go on.",
    "resume": "The flows that are left are acted on, without waiting for one that is tried first.",
    "stop": "What was not acted on is left alone for good.",
}


class BatchFilter(admin.SimpleListFilter):
    """Filter a list of flows by a part of a batch; it is offered where a link leads to it alone."""

    title, parameter_name = "part of a batch", BATCH
    key = "flow"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        part = request.GET.get(BATCH)
        return [(part, "this part")] if part else []

    def queryset(self, request: HttpRequest, rows: Any) -> Any:
        return rows.filter(pk__in=find_items(part, self.key)) if (part := self.value()) else rows


class LetterBatchFilter(BatchFilter):
    key = "letter"


class StateFilter(WordsFilter):
    title, parameter_name, words = "state", "state__exact", WORDS


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    """Who may change batches steers them; to act on flows also needs the permission of the verb."""

    list_display = ("created_at", VERB, STATE, "by", "why")
    list_filter = (StateFilter,)
    search_ids = ("id",)
    search_help_text = "batch id"
    ordering = ("-created_at",)
    # What changes is in the part of the page that renews itself.
    fields = (VERB, "by", "why", "created_at", "one_first", "per_minute", "id")
    actions_detail = tuple(STEERS)
    actions_detail_hide_default = True
    change_form_outer_before_template = "saga/batch.html"
    Media = StoryMedia
    nothing_yet = "There is no batch yet."

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.progress_view)
        return [path("<path:object_id>/progress/", view, name="batches_batch_progress"), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj:
            # The verbs stand beside the sentence.
            context |= {"actions_detail": None, "progress": self.build_progress(request, obj)}
        answer: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return answer

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with the fragment of the page that renews itself."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        batch = self.get_object(request, object_id)
        if batch is None:
            return HttpResponseNotFound()
        return answer_fragment(
            request, "saga/progress.html", {"progress": self.build_progress(request, batch)}
        )

    def build_progress(self, request: HttpRequest, batch: Batch) -> dict[str, Any]:
        """Return the context of the fragment; it asks for itself again until each flow has its outcome."""
        parts = read_parts(batch)
        is_live = batch.settled_at is None
        offered = [
            act
            for act, states in STEERS.items()
            if batch.state in states and request.user.has_perms(list_needs(batch, act))
        ]
        verbs = [
            {
                "title": name_act(name_steer(act)),
                "path": get_page_url(batch, act),
                "is_recommended": act == "start",
            }
            for act in offered
        ]
        return {
            "sentence": tell(batch, parts),
            "tone": TONES[batch.state],
            "url": get_page_url(batch, "progress") if is_live else "",
            "verbs": verbs,
            "tables": [
                ("Where it stands", build_times(batch)),
                ("Where they stand", build_parts(batch, parts)),
                *([("What stands in the way", reasons)] if (reasons := build_reasons(batch)) else []),
            ],
        }

    @action(description=name_act(name_steer("start")), icon="play_arrow", permissions=["act"])
    def start(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.show_steer(request, object_id, "start")

    @action(description=name_act(name_steer("pause")), icon="pause", permissions=["act"])
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.show_steer(request, object_id, "pause")

    @action(description=name_act(name_steer("resume")), icon="fast_forward", permissions=["act"])
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.show_steer(request, object_id, "resume")

    @action(description=name_act(name_steer("stop")), icon="stop", permissions=["act"])
    def stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.show_steer(request, object_id, "stop")

    def show_steer(self, request: HttpRequest, object_id: str, act: str) -> HttpResponse:
        batch = self.get_object(request, object_id)
        if batch is None:
            return self.redirect_to_list(request, object_id)
        if not request.user.has_perms(list_needs(batch, act)):
            raise PermissionDenied
        going = {"change": describe_state_change(batch.state, find_state_after(batch, act))}
        return confirm_and_act(
            self, request, WhyForm(request.POST or None, initial={"why": batch.why}), get_page_url(batch),
            partial(steer, batch.pk, act), title=title_act(name_steer(act), batch), original=batch,
            button=name_act(name_steer(act)), about=ABOUT[act], going=going,
            refused=explain_refusal(batch, act), warnings=list_warnings(batch) if act in GOES_ON else (),
        )  # fmt: skip


def tell(batch: Batch, parts: list[BatchPart]) -> str:
    """Return what a batch does, how far it is, and what may be done next."""
    return tell_batch(batch.state, batch.note, [(part.state, part.outcome, part.count) for part in parts])


def build_times(batch: Batch) -> dict[str, Any]:
    times = [format_time(at) for at in (batch.started_at, batch.ended_at, batch.settled_at)]
    return make_table(
        ["state", "started", "ended", "each outcome known"], [[label_state(batch.state), *times]]
    )


def label_state(state: str) -> SafeString:
    """Return where a batch stands, in words and its colour."""
    return make_label(WORDS[state], {WORDS[each]: colour for each, colour in COLOURS.items()})


def build_parts(batch: Batch, parts: list[BatchPart]) -> dict[str, Any]:
    """Return the table of how many flows stand where; each number leads to the list of these flows."""
    rows = [
        [
            format_html(
                '<a class="text-link" href="{}">{}</a>', find_part(batch, part), format_number(part.count)
            ),
            NOT_CHECKED if part.state == ItemState.CHOSEN else part.state,
            part.would_be or EMPTY,
            make_status_label(part.outcome) if part.outcome else EMPTY,
            ", ".join(f"{money(each.amount, each.currency)} {each.state}" for each in part.money) or EMPTY,
        ]
        for part in parts
    ]
    return make_table(["how many", "state", "would be", "what became of them", "money when checked"], rows)


def build_reasons(batch: Batch) -> dict[str, Any] | None:
    rows = [[format_number(each.count), each.state, each.reason] for each in read_reasons(batch)]
    return make_table(["how many", "state", "because"], rows) if rows else None


def find_part(batch: Batch, part: BatchPart) -> str:
    """Return the address of the list of the flows of a part."""
    model = apps.get_model(batch.kind)
    base = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{base}?{urlencode({BATCH: part.name_in(batch)})}"
