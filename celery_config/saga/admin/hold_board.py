"""The board's part of holds: what is held, how many flows wait, and how they are let go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html

from celery_config.messaging.holds.hold_list import read_holds
from celery_config.saga.admin.holds import tell_pace
from celery_config.saga.admin.widgets import LINK
from celery_config.saga.holds.models import Hold
from celery_config.saga.holds.reading import count_held_flows
from celery_config.saga.holds.steering import list_open
from celery_config.saga.operations.wording import capitalize
from celery_config.web.board import TABLE, Section, find_list, make_table, needs
from celery_config.web.columns import format_ago, format_number, get_page_url


@needs("holds.view_hold")
def show_holds(request: HttpRequest) -> Iterator[Section]:
    """What is held now, the oldest first; where there is nothing, the way to all."""
    # By what is remembered: as a rule nothing is held, and the board asks for it all the time.
    holds = list(list_open()) if read_holds() else []
    counted = count_held_flows() if holds else {}
    headers = ["what", "held now", "let go", "who", "why", "since"]
    rows = [make_row(hold, counted.get(hold.pk, 0)) for hold in holds]
    every = format_html('<a class="text-link in-sentence" href="{}">all holds</a>', find_list("holds_hold"))
    nothing = format_html("Nothing is held. See {}.", every)
    yield Section("Held", TABLE, make_table(headers, rows, nothing), folds=not holds)


def make_row(hold: Hold, count: int) -> list[Any]:
    return [
        format_html(LINK, get_page_url(hold), capitalize(hold.label)),
        format_number(count),
        tell_pace(hold),
        hold.by,
        hold.why,
        format_ago(hold.since),
    ]
