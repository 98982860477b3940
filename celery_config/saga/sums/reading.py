"""Reads the sums: ends by outcome, durations, and why flows were undone, over 60 minutes, a day or a week."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from django.db.models import Q, QuerySet, Sum

from celery_config.saga.models import FlowSum
from celery_config.saga.states import Status
from celery_config.saga.sums.buckets import find_quantile
from celery_config.saga.sums.writing import HOUR, MINUTE, floor_minute

Kind = FlowSum.Kind


class Span(Enum):
    """A time up to now: its name, the seconds of its sums, how many of them one bar has, and how many bars it has."""

    LAST_HOUR = ("60 min", MINUTE, 1, 60)
    DAY = ("24 h", HOUR, 1, 24)
    WEEK = ("7 d", HOUR, 6, 28)

    def __init__(self, title: str, seconds: int, sums: int, bars: int) -> None:
        self.title, self.seconds, self.bars = title, seconds, bars
        self.bar = timedelta(seconds=seconds * sums)

    def find_begin(self, now: datetime) -> datetime:
        """When the first bar begins; the last one, which is not full yet, holds `now`."""
        sum_begin = now.replace(second=0, microsecond=0)
        if self.seconds == HOUR:
            sum_begin = sum_begin.replace(minute=0)
        return sum_begin + timedelta(seconds=self.seconds) - self.bar * self.bars


@dataclass(frozen=True)
class Bar:
    """What ended in one part of a span."""

    begin: datetime
    end: datetime
    completed: int
    undone: int

    @property
    def total(self) -> int:
        return self.completed + self.undone


@dataclass(frozen=True)
class Totals:
    """What began and ended in a span."""

    span: Span
    begin: datetime
    began: int
    completed: int
    undone: int


@dataclass(frozen=True)
class Duration:
    """How long something took, in seconds: half of them took at most `p50`."""

    what: str
    count: int
    p50: float
    p99: float


@dataclass(frozen=True)
class Outcomes:
    """How flows ended, over each span and bar by bar over one."""

    span: Span
    totals: list[Totals]
    bars: list[Bar]


@dataclass(frozen=True)
class Details:
    """Of the flows that ended within a span: how long they took, each step, and why they were undone."""

    ends: list[Duration]
    """By status."""
    steps: list[Duration]
    causes: list[tuple[str, int]]
    """Code and number; the most frequent first."""


def read_outcomes(flows: Collection[str], span: Span, now: datetime) -> Outcomes:
    """Return how the flows of these names ended; one query.

    Args:
        span: what the bars show.
    """
    which = Q()
    for each in Span:
        which |= Q(seconds=each.seconds, at__gte=each.find_begin(now))
    rows: Any = FlowSum.objects.filter(which, flow__in=flows, kind__in=[Kind.BEGAN, Kind.ENDED])
    counted = [*rows.values_list("seconds", "at", "kind", "key").annotate(n=Sum("count"))]
    totals, bars = [], Counter[tuple[int, str]]()
    for each in Span:
        begin, sums = each.find_begin(now), Counter[str]()
        for seconds, at, kind, key, count in counted:
            if seconds == each.seconds and at >= begin:
                sums[key or kind] += count
                if each is span and kind == Kind.ENDED:
                    bars[(at - begin) // span.bar, key] += count
        totals.append(Totals(each, begin, sums[Kind.BEGAN], sums[Status.COMPLETED], sums[Status.COMPENSATED]))
    begin = span.find_begin(now)
    made = [
        Bar(
            begin + number * span.bar,
            begin + (number + 1) * span.bar,
            bars[number, Status.COMPLETED],
            bars[number, Status.COMPENSATED],
        )
        for number in range(span.bars)
    ]
    return Outcomes(span, totals, made)


def read_last_minute(now: datetime) -> dict[str, dict[str, int]]:
    """Return how many flows began and how many ended in the last whole minute, by kind of count and name; one query."""
    minute = now.replace(second=0, microsecond=0) - timedelta(seconds=MINUTE)
    rows: Any = FlowSum.objects.filter(seconds=MINUTE, at=minute, kind__in=[Kind.BEGAN, Kind.ENDED])
    counts: dict[str, dict[str, int]] = {Kind.BEGAN: {}, Kind.ENDED: {}}
    for kind, flow, count in rows.values_list("kind", "flow").annotate(n=Sum("count")):
        counts[kind][flow] = count
    return counts


@dataclass(frozen=True)
class Lately:
    """What ended last, and why it was undone."""

    since: datetime
    ended: int
    causes: Counter[str]
    """By code."""


def read_lately(
    flows: Collection[str], now: datetime, least: int, span: tuple[timedelta, timedelta]
) -> Lately:
    """Return how flows of these names ended in the last minutes; one query.

    Args:
        least: it reads back until so many have ended.
        span: it reads back so far at least, and so far at most.
    """
    shortest, longest = (floor_minute(now - each) for each in span)
    rows: Any = FlowSum.objects.filter(
        seconds=MINUTE, at__gte=longest, flow__in=flows, kind__in=[Kind.ENDED, Kind.CAUSE]
    )
    since, ended, causes = now, 0, Counter[str]()
    for at, kind, key, count in (
        rows.values_list("at", "kind", "key").annotate(n=Sum("count")).order_by("-at")
    ):
        if at < min(since, shortest) and ended >= least:
            break
        since = at
        if kind == Kind.ENDED:
            ended += count
        else:
            causes[key] += count
    return Lately(since, ended, causes)


def read_details(flows: Collection[str], span: Span, now: datetime) -> Details:
    """Return durations and causes of the flows of these names that ended within a span; one query."""
    rows: QuerySet[Any, Any] = FlowSum.objects.filter(
        seconds=span.seconds,
        at__gte=span.find_begin(now),
        flow__in=flows,
        kind__in=[Kind.ENDED, Kind.STEP, Kind.CAUSE],
    )
    found: defaultdict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for kind, key, bucket, count in rows.values_list("kind", "key", "bucket").annotate(n=Sum("count")):
        found[kind, key][bucket] += count
    ends = [measure(key, counts) for (kind, key), counts in found.items() if kind == Kind.ENDED]
    steps = [measure(key, counts) for (kind, key), counts in found.items() if kind == Kind.STEP]
    causes = {key: counts.total() for (kind, key), counts in found.items() if kind == Kind.CAUSE}
    return Details(
        ends=sorted(ends, key=lambda each: -each.count),
        steps=sorted(steps, key=lambda each: each.what),
        causes=sorted(causes.items(), key=lambda each: (-each[1], each[0])),
    )


def measure(what: str, counts: Counter[int]) -> Duration:
    return Duration(
        what, counts.total(), find_quantile(counts, 0.5) or 0.0, find_quantile(counts, 0.99) or 0.0
    )
