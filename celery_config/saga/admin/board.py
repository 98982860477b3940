"""The orchestrator's part of the board: what waits for a decision, and what is on its way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.apps import apps
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from celery_config.common import labels
from celery_config.common.identifiers import uuid7_time
from celery_config.common.money import money
from celery_config.messaging.observations import read_observations
from celery_config.saga.admin.cause import FAILING, get_cause_url, get_view_url
from celery_config.saga.admin.parked import get_group_url
from celery_config.saga.admin.story import format_explanation
from celery_config.saga.admin.widgets import (
    LINK,
    WORDS,
    break_words,
    count_rows,
    describe_pause,
    keep_on_one_line,
)
from celery_config.saga.measures import read_standstill
from celery_config.saga.models import SagaClock, SagaPause
from celery_config.saga.operations import overview, services
from celery_config.saga.operations.failing import MOST_POLLED, FailingGroup, read_failing
from celery_config.saga.operations.overview import OnItsWay, Waiting
from celery_config.saga.operations.services import CONTRADICTIONS, ServiceHealth
from celery_config.saga.operations.wording import STATUS_WORDS, capitalize, describe_count, describe_status
from celery_config.saga.states import Status
from celery_config.web.board import (
    ACT,
    GOOD,
    LOOK,
    TABLE,
    TILES,
    Section,
    Tile,
    find_list,
    make_table,
    needs,
    read_once,
)
from celery_config.web.columns import EMPTY, format_ago, format_number, get_page_url, make_label, shorten_id
from celery_config.web.elsewhere import admin_url

SEE = "saga.view_sagainstance"
CONTRADICTIONS_PAGE = "messaging/contradiction/?dealt_with_at__isempty=1"
NOTES = {
    Status.RUNNING: "each step may still be undone",
    Status.STOPPING: "what was done is being undone",
    Status.FORWARD: "paid, so it goes on to its end",
}


@needs(SEE)
def show_waiting(request: HttpRequest) -> Iterator[Section]:
    """What waits for a decision, by cause, and the open dead letters."""
    waiting = overview.read_waiting()
    tiles = [make_waiting_tile(waiting)]
    if request.user.has_perm("saga.view_deadletter"):
        tiles.append(make_letters_tile())
    yield Section("For somebody to decide", TILES, tiles)
    if waiting:
        yield Section("By cause", TABLE, make_waiting_table(waiting))
    # Below the causes, which a phone shows on its first screen.
    if contradicted := services.list_contradicted(read_once(request, read_observations)):
        yield Section("From outside", TILES, [make_contradictions_tile(each) for each in contradicted])


def make_waiting_tile(waiting: list[Waiting]) -> Tile:
    count = sum(each.group.count for each in waiting)
    first = min((each.group.answer_by for each in waiting if each.group.answer_by), default=None)
    return Tile(
        labels.WAITING,
        format_number(count),
        format_html("the first is due {}", format_ago(first)) if first else "",
        ACT if count else GOOD,
        reverse("admin:saga_parkedsaga_changelist"),
    )


def make_letters_tile() -> Tile:
    count, oldest = overview.count_dead_letters()
    return Tile(
        labels.DEAD_LETTERS,
        format_number(count),
        format_html("the oldest came {}", format_ago(oldest)) if oldest else "",
        ACT if count else GOOD,
        find_list("saga_deadletter", dealt_with_at__isempty=1),
    )


def make_contradictions_tile(health: ServiceHealth) -> Tile:
    """What a service hears from outside against what it knows; its own page has them."""
    note = health.says[CONTRADICTIONS].removeprefix("warning: ")
    return Tile(
        "Contradictions", f"at {health.service}", note, ACT, admin_url(health.service, CONTRADICTIONS_PAGE)
    )


def make_waiting_table(waiting: list[Waiting]) -> dict[str, Any]:
    rows = [
        [
            break_words(each.group.fingerprint or "not known"),
            count_rows(apps.get_model(each.group.kind), each.group.count),
            format_due(each.group.answer_by),
            format_money(each),
            ", ".join(each.group.owners) or EMPTY,
            format_html('<a class="text-link whole" href="{}">Look and mend</a>', get_group_url(each.group)),
        ]
        for each in waiting
    ]
    headers = ["cause", "what", "decide", "money", "who", "mend"]
    return make_table(headers, rows)


@needs(SEE)
def show_failing(request: HttpRequest) -> Iterator[Section]:
    """What fails before it waits for a decision: it ends by itself some time after it is mended, or is hurried."""
    failing = read_failing(MOST_POLLED, clock=read_clock(request))
    yield Section("Tried again and again", TABLE, make_failing_table(failing), folds=not failing)


def make_failing_table(failing: list[FailingGroup]) -> dict[str, Any]:
    rows = [
        [
            break_words(each.line),
            f"{count_failing(each)}, {describe_status(each.status)}",
            keep_on_one_line(describe_count(each.tries)),
            format_ago(each.next_at) if each.next_at else "now",
            format_html('<a class="text-link whole" href="{}">Look and hurry</a>', get_failing_url(each)),
        ]
        for each in failing
    ]
    return make_table(["cause", "what", "tried", "next", "hurry"], rows, "Nothing fails.")


def count_failing(group: FailingGroup) -> str:
    """Return "3 sagas", or "at least 90 sagas" where more fail than were read."""
    counted = count_rows(apps.get_model(group.kind), len(group.ids))
    return f"at least {counted}" if group.more else counted


def get_failing_url(group: FailingGroup) -> str:
    """Return the address of the list of what fails for one cause, or of the page of the only one."""
    model = apps.get_model(group.kind)
    if len(group.ids) == 1 and not group.more:
        return get_view_url(model, "change", str(group.ids[0]))
    return get_cause_url(model, {FAILING: group.line})


def format_due(at: datetime | None) -> SafeString | str:
    """How far away the time is by which somebody decides; a time that is over says so."""
    label = make_label(labels.OVERDUE, WORDS) if at and at <= timezone.now() else ""
    return format_html("{} {}", format_ago(at), label)


def format_money(waiting: Waiting) -> SafeString | str:
    amounts = ((money(each.amount, each.currency), each.state) for each in waiting.money)
    return format_html_join(SafeString("<br>"), '<span class="whole">{} {}</span>', amounts) or EMPTY


@needs(SEE)
def show_under_way(request: HttpRequest) -> Iterator[Section]:
    """How many flows are on their way, whether saga time runs, and what is paused."""
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for each in overview.read_open_counts():
        counts[each.status][each.kind] = each.count
    tiles = [make_open_tile(status, counts[status]) for status in NOTES]
    tiles.append(make_time_tile(request))
    if request.user.has_perm("saga.view_sagapause"):
        tiles.append(make_pauses_tile())
    yield Section(labels.ON_THEIR_WAY, TILES, tiles)


@needs(SEE)
def show_oldest(request: HttpRequest) -> Iterator[Section]:
    """What the oldest flows on their way wait for."""
    rows = [make_oldest_row(each) for each in overview.read_oldest(clock=read_clock(request))]
    table = make_table(
        ["what", "began", "how it stands, and what it waits for"], rows, "Nothing is on its way."
    )
    yield Section("The oldest of them", TABLE, table, folds=True)


def read_clock(request: HttpRequest) -> SagaClock | None:
    clock, _, _ = read_once(request, read_standstill)
    return clock


def make_open_tile(status: Status, counts: dict[str, int]) -> Tile:
    """The number leads to the kind of which there are most; the note to each kind."""
    lists = [
        (
            find_list(kind.replace(".", "_"), status__exact=status.value),
            count_rows(apps.get_model(kind), count),
        )
        for kind, count in sorted(counts.items(), key=lambda each: -each[1])
    ]
    note = format_html_join(SafeString(", "), LINK, lists) if len(lists) > 1 else NOTES[status]
    url = lists[0][0] if lists else find_list("saga_sagainstance", status__exact=status.value)
    return Tile(capitalize(STATUS_WORDS[status]), format_number(sum(counts.values())), note, "", url)


def make_time_tile(request: HttpRequest) -> Tile:
    clock, causes, _ = read_once(request, read_standstill)
    if clock is None or not causes:
        return Tile(labels.SAGA_TIME, labels.RUNS, "", GOOD)
    since = format_ago(clock.stands_since or clock.ticked_at)
    note = format_html(
        "{}; since {}. No order is driven or stopped by its deadline.", ", ".join(causes), since
    )
    return Tile(labels.SAGA_TIME, labels.STANDS, note, ACT)


def make_oldest_row(each: OnItsWay) -> list[Any]:
    row = each.row
    link = format_html(
        "{} {}", each.facts.noun, format_html(LINK, get_page_url(row), shorten_id(row.subject))
    )
    return [
        link,
        format_ago(each.facts.started_at or uuid7_time(row.pk)),
        format_explanation(each.explanation),
    ]


def make_pauses_tile() -> Tile:
    pauses = [describe_pause(pause) for pause in SagaPause.objects.order_by("since")]
    return Tile(
        "Pauses", len(pauses), "; ".join(pauses), LOOK if pauses else GOOD, find_list("saga_sagapause")
    )
