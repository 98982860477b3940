"""The board's charts: how flows ended, how long they took and why they were undone, each with the list behind it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.timezone import localtime

from celery_config.saga.admin.widgets import LINK
from celery_config.saga.dsl import Saga
from celery_config.saga.operations.acts import name_step
from celery_config.saga.operations.wording import STATUS_WORDS
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
from celery_config.web.board import SMALL_TABLE, Section
from celery_config.web.charts import HEIGHT, WIDTH, stack_bars
from celery_config.web.columns import format_number

ENDS = {status: STATUS_WORDS[status] for status in (Status.COMPLETED, Status.COMPENSATED)}
CAUSES_SHOWN = 10


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
    yield Section(
        title, "order_saga/board/outcomes.html", make_chart(outcomes, shown, as_table=as_table), folds=True
    )
    durations = [make_duration_row(ENDS.get(Status(each.what), each.what), each) for each in details.ends]
    steps = sorted(details.steps, key=lambda each: find_position(each.what))
    durations += [make_duration_row(name_step(each.what), each) for each in steps]
    headers = [
        "from placing to the end, and by step",
        "how many",
        "half took at most",
        "99 of 100 took at most",
    ]
    nothing = f"Nothing ended in {span.title}."
    took = {"headers": headers, "rows": durations, "nothing": nothing}
    yield Section(f"How long they took, {span.title}", SMALL_TABLE, took, folds=True)
    yield Section(
        f"Why they were cancelled, {span.title}",
        SMALL_TABLE,
        make_causes_table(details, outcomes, shown),
        folds=True,
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
            f"In {span.title} {format_number(total.completed)} are done and {format_number(total.undone)} were"
            " cancelled."
        ),
        "table": make_bars_table(bars, shown) if as_table else {},
        "totals": make_totals_table(outcomes, shown),
    }


def describe_bar(bar: Bar) -> str:
    return f"{format_moment(bar.begin)}: {bar.completed} done, {bar.undone} cancelled"


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


def find_position(step: str) -> int:
    """Where a step stands in the first definition that has it."""
    places = (
        number
        for saga in Saga.registry.values()
        for number, each in enumerate(saga.steps)
        if each.name == step
    )
    return next(places, 0)


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
