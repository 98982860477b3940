"""The pace of calls: evenly spaced, lowered by a 429, and grown again."""

from __future__ import annotations

import pytest

from celery_config.http.json_client import read_retry_after
from celery_config.messaging.flow_control.pace import FIRST_LIMIT, FORGOTTEN, SLOWEST, Pace


def take(pace: Pace, limit: float, now: float, count: int) -> tuple[Pace, list[float]]:
    waits = []
    for _ in range(count):
        pace, wait, taken = pace.take_turn(limit, now, 100.0)
        assert taken
        waits.append(round(wait, 3))
    return pace, waits


def test_calls_that_come_together_are_spaced_evenly() -> None:
    pace, waits = take(Pace(), 4.0, 1000.0, 5)
    assert waits == [0, 0.25, 0.5, 0.75, 1.0]
    assert take(pace, 4.0, 1010.0, 2)[1] == [0, 0.25], "time that nobody used is not saved up"


def test_a_turn_that_is_too_far_away_is_not_taken() -> None:
    pace, _ = take(Pace(), 1.0, 1000.0, 3)
    after, wait, taken = pace.take_turn(1.0, 1000.0, 2.0)
    assert (after, wait, taken) == (pace, 3.0, False)


def test_a_429_halves_the_pace_and_waits_as_long_as_it_says() -> None:
    pace = Pace().lower(8.0, 1000.0, 5.0)
    assert pace.find_rate(8.0, 1000.0) == 4.0
    assert take(pace, 8.0, 1000.0, 2)[1] == [5.0, 5.25]


def test_calls_that_are_refused_together_lower_it_once() -> None:
    pace = Pace().lower(8.0, 1000.0, 1.0).lower(8.0, 1000.2, 1.0)
    assert pace.lowered_to == 4.0
    assert pace.next_at == 1001.2
    assert pace.lower(8.0, 1002.0, 1.0).lowered_to == pytest.approx(2.0, rel=0.05)


def test_it_grows_again_up_to_the_limit() -> None:
    pace = Pace().lower(8.0, 1000.0, 0.0)
    rates = [round(pace.find_rate(8.0, 1000.0 + seconds), 2) for seconds in (0, 10, 20, 60)]
    assert rates == [4.0, 5.0, 6.25, 8.0]
    assert not pace.has_recovered(8.0, 1010.0)
    assert pace.has_recovered(8.0, 1060.0)


def test_without_a_limit_it_is_lowered_to_a_first_one_and_forgotten() -> None:
    pace = Pace().lower(0.0, 1000.0, 0.0)
    assert pace.find_rate(0.0, 1000.0) == FIRST_LIMIT
    later = 1000.0 + 400
    assert pace.find_rate(0.0, later) == 0.0, f"over {FORGOTTEN:g} calls a second"
    after, wait, taken = pace.take_turn(0.0, later, 2.0)
    assert (after.lowered_to, wait, taken) == (None, 0.0, True)


def test_it_never_stands_still() -> None:
    pace, now = Pace(), 1000.0
    for _ in range(50):
        now += 2
        pace = pace.lower(8.0, now, 0.0)
    assert pace.lowered_to == SLOWEST


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7), ("0", 0), ("", 0), ("-1", 0), ("soon", 0), ("9" * 400, 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("٣", 0),
    ],
)  # fmt: skip
def test_retry_after(text: str, seconds: float) -> None:
    assert read_retry_after(text) == seconds
