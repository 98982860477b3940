"""The story of a flow on its page: the sentence, the strip and the timeline, as a fragment that renews itself.

A poll reads the order service's own database alone: no participant is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from celery_config.common.moments import Moment, format_moment
from celery_config.saga.admin.widgets import break_words
from celery_config.saga.flow_facts import FlowFacts
from celery_config.saga.models import SagaInstance, WatchedRow
from celery_config.saga.operations.advice import advise
from celery_config.saga.operations.explanation import Explanation, explain, find_hindrance, find_line
from celery_config.saga.operations.flow_reader import read_flows
from celery_config.saga.operations.history import read_timeline
from celery_config.saga.operations.strip import CellState, draw_strip
from celery_config.saga.states import OPEN, Status
from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.columns import format_ago, get_page_url

STORY = "saga/story.html"
TONES = {
    CellState.DONE: "good",
    CellState.CALLING: "busy",
    CellState.UNDOING: "busy",
    CellState.REFUSED: "bad",
    CellState.UNDONE: "back",
    CellState.HELD: "held",
    CellState.IN_DOUBT: "doubt",
    CellState.NEVER_RAN: "none",
    CellState.NOT_YET: "none",
}


class StoryMedia:
    """What a page with a story loads."""

    css: ClassVar[Mapping[str, Sequence[str]]] = {"all": ("order_saga/story.css",)}
    js = ("order_saga/story.js",)


def build_story(row: WatchedRow, facts: FlowFacts, *, url: str = "") -> dict[str, Any]:
    """Return the context of the fragment: two queries.

    Args:
        url: where the fragment is asked for again while the flow is open or waits for a decision.
    """
    return {
        "key": row.pk,
        "url": url if facts.status in (*OPEN, Status.PARKED) else "",
        "sentence": format_explanation(explain(facts)),
        "tone": find_tone(facts),
        "cells": [
            {"cell": cell, "tone": TONES[cell.state], "next": cell.next_at and format_ago(cell.next_at)}
            for cell in draw_strip(facts)
        ],
        "timeline": read_timeline(row, facts),
        "mend": advise(find_hindrance(facts)),
    }


def find_tone(facts: FlowFacts) -> str:
    if facts.status is Status.PARKED:
        return "bad" if facts.answer_by and facts.answer_by <= facts.now else "held"
    return {Status.COMPLETED: "good", Status.COMPENSATED: "back"}.get(facts.status, "busy")


def format_explanation(told: Explanation) -> SafeString:
    """Return the sentence as HTML; the browser says how far away a time is, so that the text stays the same."""
    return format_html_join("", "{}", ([format_part(part, told)] for part in told.parts))


def format_waiting(facts: FlowFacts) -> SafeString | str:
    """Return why a flow waits: the cause of one that waits for a decision; the sentence of any other's page."""
    parked = facts.status is Status.PARKED
    return break_words(find_line(facts)) if parked else format_explanation(explain(facts))


def format_part(part: str | Moment, told: Explanation) -> Any:
    if isinstance(part, str):
        return part
    clock = format_moment(Moment(part.at, day_only=part.day_only), told.now)
    if not part.away:
        return format_html('<span class="whole">{}</span>', clock)
    return format_html('<span class="whole">{} ({})</span>', clock, format_ago(part.at))


class StoriesAdmin(ReadOnlyAdmin):
    """The admin of what sagas are about: its page begins with their stories, for those who may see sagas."""

    change_form_outer_before_template = "saga/stories.html"
    Media = StoryMedia

    def find_sagas(self, row: Any) -> Sequence[SagaInstance]:
        """Return the sagas of a row, of which there are few."""
        raise NotImplementedError

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj and request.user.has_perm("saga.view_sagainstance"):
            context["stories"] = build_stories(self.find_sagas(obj))
        answer: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return answer


def build_stories(rows: Sequence[WatchedRow]) -> list[dict[str, Any]]:
    """Return the stories of flows, as another page shows them."""
    facts = read_flows(rows)
    return [build_linked_story(row, facts[row.pk]) for row in rows]


def build_linked_story(row: WatchedRow, facts: FlowFacts) -> dict[str, Any]:
    """Return the story of a flow with the address of its own page."""
    return {**build_story(row, facts, url=get_page_url(row, "story")), "page": get_page_url(row)}
