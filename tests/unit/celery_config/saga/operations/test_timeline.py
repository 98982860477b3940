"""The timeline keeps the order of what happened, squeezes long silences, and leaves nothing out of its rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from celery_config.saga.flow_facts import Happening, HappeningKind
from celery_config.saga.operations.timeline import LEFT, LEGEND, MOST_SHOWN, OPERATORS, WIDTH, lay_out

BEGIN = datetime(2026, 11, 30, 18, tzinfo=UTC)
LANES = ("order", "payment")


def happening(seconds: float, lane: str = "payment") -> Happening:
    return Happening(BEGIN + timedelta(seconds=seconds), lane, HappeningKind.DONE, f"at {seconds}")


def test_marks_stand_in_the_order_of_their_times_within_the_picture() -> None:
    made = lay_out([happening(s) for s in (86_400, 0.004, 0, 3, 0.1)], LANES)
    xs = [mark.x for mark in made.marks]
    assert xs == sorted(xs)
    assert all(LEFT <= x < WIDTH for x in xs)
    assert all(after - before >= 12 for before, after in pairwise(xs))
    assert made.marks[1].title == "18:00:00.004 at 0.004"


def test_a_long_silence_is_no_wider_than_ten_seconds_and_says_its_length() -> None:
    made = lay_out([happening(s) for s in (0, 10, 10 + 86_400)], LANES)
    first, second, third = (mark.x for mark in made.marks)
    assert abs((third - second) - (second - first)) <= 1
    assert [silence.label for silence in made.silences] == ["1 d"]
    assert second < made.silences[0].x < third


def test_the_operators_have_a_lane_where_one_of_them_acted() -> None:
    assert [lane.name for lane in lay_out([happening(0)], LANES).lanes] == [*LANES]
    acted = lay_out([happening(0), happening(1, OPERATORS)], LANES)
    assert [lane.name for lane in acted.lanes] == [*LANES, OPERATORS]
    assert len({mark.y for mark in acted.marks}) == 2


def test_the_picture_has_the_latest_and_the_rows_have_all() -> None:
    made = lay_out([happening(s) for s in range(MOST_SHOWN + 5)], LANES)
    assert (len(made.marks), len(made.rows), made.left_out) == (MOST_SHOWN, MOST_SHOWN + 5, 5)
    assert made.marks[-1].title.endswith(f"at {MOST_SHOWN + 4}")


def test_the_legend_has_each_kind_that_the_picture_has() -> None:
    assert {*LEGEND} == {*HappeningKind}
    refused = Happening(BEGIN, "payment", HappeningKind.REFUSED, "no")
    assert lay_out([refused, happening(1)], LANES).legend == [
        (HappeningKind.DONE, "a step was done"),
        (HappeningKind.REFUSED, "a service refused"),
    ]


def test_a_flow_of_which_nothing_is_known_has_an_empty_picture() -> None:
    assert lay_out([], LANES).marks == []
