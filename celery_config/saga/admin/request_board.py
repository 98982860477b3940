"""The board's part of requests: what others ask for and who looks may approve."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.html import format_html

from celery_config.saga.admin.widgets import LINK
from celery_config.saga.approvals.models import ApprovalRequest
from celery_config.saga.operations.acts import describe_target, name_act
from celery_config.saga.operations.approvals import list_decidable
from celery_config.web.board import TABLE, Section, find_list, make_table, needs
from celery_config.web.columns import EMPTY, format_ago, format_time, get_page_url

SHOWN = 5


@needs("approvals.view_approvalrequest")
def show_requests(request: HttpRequest) -> Iterator[Section]:
    """The requests that wait for this person, those first that expire first; where there is none, the way to all."""
    # Without the setting nothing is asked for, and the board asks all the time.
    is_on = settings.FOUR_EYES
    asked = list_decidable(request.user.has_perms, request.user.get_username()) if is_on else []
    every = format_html(
        '<a class="text-link in-sentence" href="{}">all requests</a>', find_list("approvals_approvalrequest")
    )
    table = make_table(
        ["what", "on what", "who asks", "why", "asked", "expires"],
        map(make_row, asked[:SHOWN]),
        format_html("Nothing waits for your approval. See {}.", every),
    )
    title = "Waits for your approval"
    yield Section(
        f"{title}: {SHOWN} of {len(asked)}" if len(asked) > SHOWN else title, TABLE, table, folds=not asked
    )


def make_row(asked: ApprovalRequest) -> list[Any]:
    return [
        format_html(LINK, get_page_url(asked), name_act(asked.act)),
        describe_target(asked.what) if asked.what else EMPTY,
        asked.asked_by,
        asked.why,
        format_ago(asked.asked_at),
        format_time(asked.expires_at),
    ]
