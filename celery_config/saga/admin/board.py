"""The orchestrator's part of the board: what waits, what is on its way, how orders ended, and how the services are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from celery_config.common.identifiers import uuid7_time
from celery_config.common.money import money
from celery_config.db.functions import Now
from celery_config.messaging.observations import read_observations
from celery_config.saga.admin.parked import get_list_url
from celery_config.saga.admin.story import format_explanation
from celery_config.saga.admin.widgets import LINK, break_words, format_deadline, get_page_url
from celery_config.saga.measures import find_standstill
from celery_config.saga.models import SagaClock, SagaPause
from celery_config.saga.operations import overview
from celery_config.saga.operations.overview import OnItsWay, Waiting
from celery_config.saga.operations.services import (
    QUEUES_SEEN,
    SERVICES_SEEN,
    QueueDepth,
    ServiceHealth,
    list_queues,
    list_services,
)
from celery_config.saga.operations.wording import STATUS_WORDS, capitalize
from celery_config.saga.states import Status
from celery_config.saga.sums.reading import (
    Bar,
    Details,
    Duration,
    Outcomes,
    Span,
    read_details,
    read_outcomes,
)
from celery_config.web.board import ACT, GOOD, LOOK, TABLE, TILES, Section, Tile, find_list, needs
from celery_config.web.charts import HEIGHT, WIDTH, stack_bars
from celery_config.web.columns import EMPTY, format_ago, format_number, make_label, shorten_id

SEE = "saga.view_sagainstance"
NOTES = {
    Status.RUNNING: "each step may still be undone",
    Status.STOPPING: "what was done is being undone",
    Status.FORWARD: "paid, so it goes on to its end",
}
ENDS = {Status.COMPLETED: "completed", Status.COMPENSATED: STATUS_WORDS[Status.COMPENSATED]}
QUEUES_SHOWN = 8
CAUSES_SHOWN = 10


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


def make_waiting_tile(waiting: list[Waiting]) -> Tile:
    count = sum(each.group.count for each in waiting)
    first = min((each.group.answer_by for each in waiting if each.group.answer_by), default=None)
    return Tile(
        "Waiting for a decision",
        format_number(count),
        format_html("the first by {}", format_ago(first)) if first else "",
        ACT if count else GOOD,
        reverse("admin:saga_parkedsaga_changelist"),
    )


def make_letters_tile() -> Tile:
    count, oldest = overview.count_dead_letters()
    return Tile(
        "Dead letters",
        format_number(count),
        format_html("the oldest came {}", format_ago(oldest)) if oldest else "",
        ACT if count else GOOD,
        find_list("saga_deadletter", dealt_with_at__isempty=1),
    )


def make_waiting_table(waiting: list[Waiting]) -> dict[str, Any]:
    rows = [
        [
            break_words(each.group.fingerprint or "not known"),
            format_number(each.group.count),
            format_deadline(each.group.answer_by, "overdue"),
            format_money(each),
            ", ".join(each.group.owners) or EMPTY,
            format_html('<a class="text-link whole" href="{}">Look and mend</a>', get_list_url(each.group)),
        ]
        for each in waiting
    ]
    headers = ["cause", "how many", "to be decided by", "money, as far as we know", "who decides", "mend"]
    return {"headers": headers, "rows": rows}


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
    tiles.append(make_time_tile())
    if request.user.has_perm("saga.view_sagapause"):
        tiles.append(make_pauses_tile())
    yield Section("On their way", TILES, tiles)


@needs(SEE)
def show_oldest(request: HttpRequest) -> Iterator[Section]:
    """What the oldest flows on their way wait for."""
    if oldest := overview.read_oldest():
        rows = [make_oldest_row(each) for each in oldest]
        headers = ["what", "began", "how it stands, and what it waits for"]
        yield Section("The oldest of them", TABLE, {"headers": headers, "rows": rows})


def make_open_tile(status: Status, counts: dict[str, int]) -> Tile:
    """The number leads to the kind of which there are most; the note to each kind."""
    lists = [
        (
            find_list(kind.replace(".", "_"), status__exact=status.value),
            f"{format_number(count)} {apps.get_model(kind)._meta.verbose_name_plural}",
        )
        for kind, count in sorted(counts.items(), key=lambda each: -each[1])
    ]
    note = format_html_join(SafeString(", "), LINK, lists) if len(lists) > 1 else NOTES[status]
    url = lists[0][0] if lists else find_list("saga_sagainstance", status__exact=status.value)
    return Tile(capitalize(STATUS_WORDS[status]), format_number(sum(counts.values())), note, "", url)


def make_time_tile() -> Tile:
    clock = SagaClock.objects.annotate(real=Now()).first()
    causes, _ = find_standstill(clock, clock.real) if clock else ([], 0.0)
    if clock is None or not causes:
        return Tile("Saga time", "runs", "", GOOD)
    since = format_ago(clock.stands_since or clock.ticked_at)
    note = format_html(
        "{}; since {}. No order is driven or stopped by its deadline.", ", ".join(causes), since
    )
    return Tile("Saga time", "stands", note, ACT)


def make_oldest_row(each: OnItsWay) -> list[Any]:
    row = each.row
    link = format_html("{} {}", each.facts.noun, format_html(LINK, get_page_url(row), shorten_id(row.pk)))
    return [link, format_ago(uuid7_time(row.pk)), format_explanation(each.explanation)]


@dataclass(frozen=True)
class Shown:
    """What the charts show, and where the lists behind them are.

    Args:
        flows: the names of the flows that are counted.
        what: what they are called.
        find: the address of the list of those with an outcome that ended from a time to before another, and perhaps
            with a cause's code.
    """

    flows: Collection[str]
    what: str
    find: Callable[..., str]


def show_outcomes(request: HttpRequest, shown: Shown) -> Iterator[Section]:
    """How flows ended, how long they took and why they were undone, over the span that the address names."""
    span = next((each for each in Span if each.name.lower() == request.GET.get("span")), Span.LAST_HOUR)
    now = timezone.now()
    outcomes, details = read_outcomes(shown.flows, span, now), read_details(shown.flows, span, now)
    as_table = request.GET.get("form") == "table"
    title = f"{shown.what.capitalize()} by outcome"
    yield Section(title, "order_saga/board/outcomes.html", make_chart(outcomes, shown, as_table=as_table))
    durations = [make_duration_row(ENDS.get(Status(each.what), each.what), each) for each in details.ends]
    durations += [make_duration_row(f"step {each.what}", each) for each in details.steps]
    headers = [
        "from placing to the end, and by step",
        "how many",
        "half took at most",
        "99 of 100 took at most",
    ]
    nothing = f"Nothing ended in {span.title}."
    took = {"headers": headers, "rows": durations, "nothing": nothing}
    yield Section(f"How long they took, {span.title}", TABLE, took)
    yield Section(
        f"Why they were cancelled, {span.title}", TABLE, make_causes_table(details, outcomes, shown)
    )


def make_address(**chosen: str) -> str:
    return f"{reverse('admin:index')}?{urlencode(chosen)}"


def make_chart(outcomes: Outcomes, shown: Shown, *, as_table: bool) -> dict[str, Any]:
    span, bars = outcomes.span, outcomes.bars
    form = "table" if as_table else "bars"
    spans = [
        {"title": each.title, "url": make_address(span=each.name.lower(), form=form), "chosen": each is span}
        for each in Span
    ]
    other = "bars" if as_table else "table"
    shapes = stack_bars([[("completed", bar.completed), ("undone", bar.undone)] for bar in bars])
    total = next(each for each in outcomes.totals if each.span is span)
    return {
        "spans": spans,
        "other_form": {"title": f"as {other}", "url": make_address(span=span.name.lower(), form=other)},
        "as_table": as_table,
        "width": int(WIDTH),
        "height": int(HEIGHT),
        "bars": [
            {"url": shown.find(bar.begin, bar.end), "title": describe_bar(bar), "rects": drawn}
            for bar, drawn in zip(bars, shapes, strict=True)
            if drawn
        ],
        "first": format_moment(bars[0].begin),
        "last": format_moment(bars[-1].end),
        "most": format_number(max(bar.total for bar in bars)),
        "sentence": (
            f"In {span.title} {format_number(total.completed)} completed and {format_number(total.undone)} were"
            " cancelled."
        ),
        "table": make_bars_table(bars, shown) if as_table else {},
        "totals": make_totals_table(outcomes, shown),
    }


def describe_bar(bar: Bar) -> str:
    return f"{format_moment(bar.begin)}: {bar.completed} completed, {bar.undone} cancelled"


def format_moment(at: Any) -> str:
    return f"{date_format(localtime(at), 'j M, H:i')} UTC"


def make_bars_table(bars: list[Bar], shown: Shown) -> dict[str, Any]:
    rows = [
        [
            format_html(LINK, shown.find(bar.begin, bar.end), format_moment(bar.begin)),
            format_number(bar.completed),
            format_number(bar.undone),
        ]
        for bar in reversed(bars)
        if bar.total
    ]
    return {"headers": ["from", *ENDS.values()], "rows": rows}


def make_totals_table(outcomes: Outcomes, shown: Shown) -> dict[str, Any]:
    rows = []
    for each in outcomes.totals:
        counts = {Status.COMPLETED: each.completed, Status.COMPENSATED: each.undone}
        links = [
            format_html(LINK, shown.find(each.begin, None, status), format_number(count))
            for status, count in counts.items()
        ]
        rows.append([each.span.title, format_number(each.began), *links])
    return {"headers": ["over", "placed", *ENDS.values()], "rows": rows}


def make_duration_row(what: str, took: Duration) -> list[str]:
    return [what, format_number(took.count), format_seconds(took.p50), format_seconds(took.p99)]


def format_seconds(seconds: float) -> str:
    """Two digits are as many as the buckets tell: `0.68 s`, `13 s`, `4 min`, `2.5 h`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}"
    return (
        f"{seconds * 1000:.0f} ms"
        if seconds < 0.1
        else f"{seconds:.2g} s"
        if seconds < 100
        else f"{seconds:.0f} s"
    )


def make_causes_table(details: Details, outcomes: Outcomes, shown: Shown) -> dict[str, Any]:
    begin = next(each.begin for each in outcomes.totals if each.span is outcomes.span)
    rows = [
        [
            format_html(
                LINK, shown.find(begin, None, Status.COMPENSATED, code), code.replace("_", " ") or "not known"
            ),
            format_number(count),
        ]
        for code, count in details.causes[:CAUSES_SHOWN]
    ]
    return {"headers": ["cause", "how many"], "rows": rows, "nothing": "None was cancelled."}


@needs(SEE)
def show_services(request: HttpRequest) -> Iterator[Section]:
    """How each service is, as the relay heard it last, and how long the queues are."""
    seen = read_observations()
    services = list_services(seen)
    asked = format_ago(seen[SERVICES_SEEN].at) if services else ""
    rows = [make_service_row(each) for each in services]
    headers = ["service", "moves", "what does not", "relay", "copies", "books", "asked"]
    nothing = "Not asked yet: the relay asks every ten seconds."
    yield Section(
        "Services", TABLE, {"headers": headers, "rows": [[*row, asked] for row in rows], "nothing": nothing}
    )
    queues = list_queues(seen)
    if queues:
        lengths = [make_queue_row(each) for each in queues[:QUEUES_SHOWN]]
        title = format_html("Queues, as of {}", format_ago(seen[QUEUES_SEEN].at))
        table = {"headers": ["queue", "messages that wait", "workers on it"], "rows": lengths}
        yield Section(title, TABLE, table)


def make_service_row(health: ServiceHealth) -> list[Any]:
    moves = make_label("moves" if health.moves else "stands", {"moves": "success", "stands": "danger"})
    apart = ("relay", "copies", "books")
    faults = [f"{name}: {text}" for name, text in health.faults.items() if name not in apart]
    return [
        health.service,
        moves,
        break_words("; ".join(faults)) if faults else EMPTY,
        *(describe_check(health.says.get(name, "")) for name in apart),
    ]


def describe_check(text: str) -> SafeString | str:
    """The figures of what is well change all the time and say nothing."""
    return "ok" if text.startswith("ok") else break_words(text) if text else EMPTY


def make_queue_row(depth: QueueDepth) -> list[Any]:
    messages = "not known" if depth.messages is None else format_number(depth.messages)
    workers = format_number(depth.consumers) if depth.consumers else make_label("none", {"none": "danger"})
    return [depth.queue, messages, workers]


def make_pauses_tile() -> Tile:
    pauses = [str(pause) for pause in SagaPause.objects.order_by("since")]
    return Tile(
        "Pauses", len(pauses), "; ".join(pauses), LOOK if pauses else GOOD, find_list("saga_sagapause")
    )
