"""Which message of an incident is due: once, repeated while it lasts, and over once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from celery_config.common.conditions import Severity
from celery_config.notifications.deciding import (
    FIRST_DELAY,
    LONGEST_DELAY,
    MOST_ATTEMPTS,
    Due,
    Past,
    Standing,
    find_delay,
    find_due,
    is_settled,
)

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
OPEN = Standing(tell_at=NOW)
TOLD = Past(opened_at=NOW, was_told=True)
OVER = replace(OPEN, over=True)


def find(
    incident: Standing, past: Past, after: float = 0.0, *, wanted: bool = True, repeat: int = 60
) -> Due | None:
    now = NOW + timedelta(seconds=after)
    return find_due(incident, past, wanted=wanted, repeat_seconds=repeat, now=now)


def test_what_stands_is_told_once() -> None:
    assert find(OPEN, Past()) == Due("opened")
    assert find(OPEN, TOLD) is None


def test_nothing_is_told_before_its_time_or_to_whom_it_does_not_concern() -> None:
    assert find(OPEN, Past(), -1) is None
    assert find(OPEN, Past(), wanted=False) is None


def test_it_is_repeated_while_it_lasts_and_what_was_missed_is_not_made_up_for() -> None:
    assert find(OPEN, TOLD, 59) is None
    assert find(OPEN, TOLD, 60) == Due("continues", 1)
    assert find(OPEN, replace(TOLD, repeats=1), 119) is None
    assert find(OPEN, replace(TOLD, repeats=1), 600) == Due("continues", 10)
    assert find(OPEN, TOLD, 10**6, repeat=0) is None


def test_what_somebody_has_acknowledged_is_not_repeated_and_its_end_is_told() -> None:
    seen = replace(OPEN, acknowledged=True)
    assert find(seen, TOLD, 600) is None
    assert find(seen, Past()) == Due("opened"), "another rule may not have told of it yet"
    assert find(replace(seen, over=True), TOLD) == Due("over")


def test_its_end_is_told_once_and_to_whom_it_was_told() -> None:
    assert find(OVER, TOLD) == Due("over")
    assert find(OVER, TOLD, wanted=False) == Due("over"), "a rule may have changed meanwhile"
    assert find(OVER, replace(TOLD, has_over=True)) is None
    assert find(OVER, Past()) is None
    assert find(OVER, Past(opened_at=NOW)) is None, "its first message was given up"


def test_messages_of_one_incident_keep_their_order() -> None:
    waits = Past(opened_at=NOW, waits=True)
    assert find(OPEN, waits, 600) is None
    assert find(OVER, waits) is None


@pytest.mark.parametrize(
    ("incident", "pasts", "settled"),
    [
        (OPEN, [], False),
        (OVER, [], True),
        (OVER, [Past()], True),
        (OVER, [TOLD], False),
        (OVER, [replace(TOLD, has_over=True, waits=True)], False),
        (OVER, [replace(TOLD, has_over=True), Past(opened_at=NOW)], True),
    ],
)
def test_it_is_settled_when_nothing_more_is_sent(
    incident: Standing, pasts: list[Past], settled: bool
) -> None:
    assert is_settled(incident, pasts) is settled


def test_tries_come_less_often_and_end_after_about_a_day() -> None:
    delays = [find_delay(attempts) for attempts in range(1, MOST_ATTEMPTS)]
    known = [delay for delay in delays if delay is not None]
    assert known == sorted(known)
    assert (known[0], known[-1]) == (FIRST_DELAY, LONGEST_DELAY)
    assert 23 * 3600 < sum(known) < 26 * 3600
    assert find_delay(MOST_ATTEMPTS) is None


def test_what_pages_also_concerns_who_wants_tickets() -> None:
    assert Severity.PAGE.reaches(Severity.TICKET)
    assert Severity.PAGE.reaches(Severity.PAGE)
    assert not Severity.TICKET.reaches(Severity.PAGE)
