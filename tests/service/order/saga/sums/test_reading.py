"""What the sums say over 60 minutes, a day and a week."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import TestCase

from celery_config.saga.models import FlowSum
from celery_config.saga.sums.buckets import find_bucket
from celery_config.saga.sums.reading import Span, read_details, read_outcomes
from celery_config.saga.sums.writing import HOUR, MINUTE

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 30, 10, 20, 30, tzinfo=UTC)
FLOWS = ["place-order"]


def add(
    ago: timedelta, kind: str, key: str = "", count: int = 1, *, took: float = 0, flow: str = "place-order"
) -> None:
    """Write a sum for the minute and the hour of a time; sums of one hour are not added up."""
    bucket = find_bucket(took) if took else -1
    at = (NOW - ago).replace(second=0)
    for seconds, begin in ((MINUTE, at), (HOUR, at.replace(minute=0))):
        FlowSum.objects.create(
            seconds=seconds, at=begin, flow=flow, kind=kind, key=key, bucket=bucket, count=count
        )


class TestOutcomes:
    def test_are_counted_over_each_span(self) -> None:
        add(timedelta(minutes=5), "ended", "completed", 7, took=1)
        add(timedelta(hours=3), "ended", "compensated", 2, took=1)
        add(timedelta(days=3), "ended", "completed", 4, took=1)
        add(timedelta(days=9), "ended", "completed", 100, took=1)
        add(timedelta(minutes=5), "began", count=8)
        totals = read_outcomes(FLOWS, Span.LAST_HOUR, NOW).totals
        assert [(each.began, each.completed, each.undone) for each in totals] == [
            (8, 7, 0),
            (8, 7, 2),
            (8, 11, 2),
        ]

    @pytest.mark.parametrize(("span", "bar"), [(Span.LAST_HOUR, 54), (Span.DAY, 23), (Span.WEEK, 27)])
    def test_stand_in_the_bar_of_their_time(self, span: Span, bar: int) -> None:
        add(timedelta(minutes=5), "ended", "completed", 3, took=1)
        bars = read_outcomes(FLOWS, span, NOW).bars
        assert len(bars) == span.bars
        assert [number for number, each in enumerate(bars) if each.total] == [bar]
        assert bars[bar].begin <= NOW - timedelta(minutes=5) < bars[bar].end
        assert bars[-1].begin <= NOW < bars[-1].end

    def test_of_other_flows_do_not_count(self) -> None:
        add(timedelta(minutes=5), "ended", "completed", took=1, flow="refund-order")
        assert read_outcomes(FLOWS, Span.LAST_HOUR, NOW).totals[0].completed == 0


class TestDetails:
    def test_are_durations_by_outcome_and_step_and_causes(self) -> None:
        add(timedelta(minutes=5), "ended", "completed", 99, took=1.0)
        add(timedelta(minutes=6), "ended", "completed", 1, took=60)
        add(timedelta(minutes=5), "step", "reserve-stock", 4, took=0.2)
        add(timedelta(minutes=5), "cause", "out_of_stock", 2)
        add(timedelta(minutes=5), "cause", "card_declined", 3)
        details = read_details(FLOWS, Span.LAST_HOUR, NOW)
        (ended,) = details.ends
        assert (ended.what, ended.count) == ("completed", 100)
        assert 0.7 < ended.p50 < 1.5 > ended.p99
        assert [step.what for step in details.steps] == ["reserve-stock"]
        assert details.causes == [("card_declined", 3), ("out_of_stock", 2)]


def test_each_part_is_one_query() -> None:
    case = TestCase()
    with case.assertNumQueries(2):
        read_outcomes(FLOWS, Span.WEEK, NOW)
        read_details(FLOWS, Span.WEEK, NOW)
