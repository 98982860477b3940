"""Who gives up first."""

from __future__ import annotations

import pytest

from celery_config.common.timeouts import Timeouts
from celery_config.errors import DefinitionError


def worst(times: Timeouts) -> float:
    """Every try of a step times out and every wait is at its longest."""
    return (len(times.retry_delays) + 1) * times.command + 1.25 * sum(times.retry_delays)


def test_who_gives_up_first() -> None:
    """Rule 18: call < command over REST < a step's tries, all included < silence < deadline < undo drives."""
    times = Timeouts()
    assert times.call <= 20 < sum(times.retry_delays)
    assert (
        times.call
        < times.command
        < worst(times)
        < times.silence_timeout
        < 15 * 60
        < times.compensation_timeout
    )
    assert times.check_ordering(15 * 60) is None


@pytest.mark.parametrize("scale", [1, 0.3, 0.1, 0.075, 0.05, 0.03, 0.02])
def test_a_steps_tries_are_over_before_the_watchdog_looks_at_any_scale(scale: float) -> None:
    """Rule 18: a call is never shorter than a second, so that fewer tries fit into a short silence."""
    times = Timeouts(scale=scale)
    assert worst(times) < times.silence_timeout
    assert times.retry_delays
    assert times.check_ordering(900) is None


def test_a_scale_too_small_for_a_call_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"SAGA_TIME_SCALE=0\.005"):
        Timeouts(scale=0.005)


@pytest.mark.parametrize(
    ("deadline", "fault"),
    [
        (60, "the watchdog's silence"),
        (120, "the watchdog's silence"),
        (24 * 3600, "the saga's deadline"),
        (2e6, "deadline"),
    ],
)
def test_a_deadline_out_of_order_is_named(deadline: float, fault: str) -> None:
    """Rule 18."""
    assert fault in (Timeouts().check_ordering(deadline) or "")


def test_all_times_of_the_protocol_scale_together() -> None:
    """Rule 18."""
    times = Timeouts(scale=0.5)
    assert times.silence_timeout == pytest.approx(60)
    assert times.deadline(900) == pytest.approx(450)
    assert times.call == pytest.approx(Timeouts().call / 2)
    assert times.retry_delays == pytest.approx([delay / 2 for delay in Timeouts().retry_delays])


def test_what_a_worker_holds_unacked_is_short() -> None:
    """Rule 18: well under RabbitMQ's 30 minutes; waits between tries are outbox rows and hold nothing."""
    times = Timeouts()
    assert times.command + times.lock_wait + times.publish < 5 * 60


def test_retries_end() -> None:
    """Rule 18: four waits, jittered, then none."""
    times = Timeouts()
    waits = [times.retry_delay(tries) for tries in range(5)]
    assert waits[4] is None
    for wait, planned in zip(waits, times.retry_delays, strict=False):
        assert wait is not None
        assert 0.75 * planned <= wait <= 1.25 * planned


def test_silence_doubles_up_to_an_hour() -> None:
    """Rule 17: doubling, jittered."""
    times = Timeouts()
    for drives in (0, 1, 2, 3, 4, 5, 16, 1000):
        base = min(120 * 2 ** min(drives, 16), 3600)
        assert 0.9 * base <= times.silence_after(drives) <= 1.1 * base
    assert len({times.silence_after(0) for _ in range(5)}) > 1
