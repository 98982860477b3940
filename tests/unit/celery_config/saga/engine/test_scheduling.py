"""When the watchdog looks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from celery_config.common.timeouts import Timeouts
from celery_config.saga.engine.scheduling import earlier_check, is_moving, next_check_at
from celery_config.saga.states import Status


@pytest.mark.parametrize(
    ("status", "now", "silent_until", "look"),
    [
        (Status.RUNNING, 0, 120, 120),
        (Status.RUNNING, 850, 970, 900),
        (Status.RUNNING, 900, 1020, 1020),
        (Status.STOPPING, 850, 970, 970),
        (Status.FORWARD, 850, 970, 970),
    ],
)
def test_a_running_saga_is_not_left_beyond_its_deadline(
    status: Status, now: float, silent_until: float, look: float
) -> None:
    assert next_check_at(status, now=now, silent_until=silent_until, deadline=900.0) == look


def test_instants_may_be_dates() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    deadline, silent_until = now + timedelta(seconds=5), now + timedelta(seconds=9)
    assert next_check_at("running", now=now, silent_until=silent_until, deadline=deadline) == deadline


@pytest.mark.parametrize(("due", "look"), [(None, 130), (500, 130), (110, 110), (100, 130), (50, 130)])
def test_a_look_before_long_is_neither_later_than_meant_nor_overdue(due: float | None, look: float) -> None:
    assert earlier_check(due, now=100, soon=130) == look


@pytest.mark.parametrize(
    ("status", "heard_lately", "now", "moving"),
    [
        ("running", True, 10, True),
        ("running", False, 10, False),
        ("running", True, 900, False),
        ("stopping", True, 10, False),
        ("forward", True, 10, False),
    ],
)
def test_only_a_running_saga_that_was_heard_of_is_left_alone(
    status: str, heard_lately: bool, now: float, moving: bool
) -> None:
    assert is_moving(status, heard_lately=heard_lately, now=now, deadline=900) is moving


def test_a_step_that_fails_for_a_day_is_not_driven_twice_a_minute() -> None:
    """Its errback asks for a check a minute after each drive; that grows with the drives (rule 17, the watchdog)."""
    times, at, drives = Timeouts(), 0.0, 0
    while at < times.compensation_timeout:
        at += 60 + times.soon_after(drives)
        drives += 1
    assert times.soon_after(0) == times.silence_timeout / 4
    assert drives < 110
