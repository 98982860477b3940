"""Who fails again and again is left alone for a while."""

from __future__ import annotations

import contextlib

import pytest

from celery_config.http.circuit_breaker import CircuitBreaker, CircuitOpen


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("celery_config.http.circuit_breaker.time", made)
    return made


def fail() -> None:
    raise TimeoutError


def refuse() -> None:
    raise PermissionError


def breaker() -> CircuitBreaker:
    return CircuitBreaker(
        failures=3, reset_timeout=10.0, counts=lambda error: isinstance(error, TimeoutError)
    )


def tripped() -> CircuitBreaker:
    made = breaker()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            made.call(fail)
    return made


def test_it_opens_after_failures_in_a_row(clock: Clock) -> None:
    with pytest.raises(CircuitOpen):
        tripped().call(lambda: pytest.fail("nobody is called"))


def test_a_success_or_a_no_between_them_begins_the_count_anew(clock: Clock) -> None:
    made = breaker()
    for between in (lambda: None, refuse):
        for _ in range(2):
            with pytest.raises(TimeoutError):
                made.call(fail)
        with contextlib.suppress(PermissionError):
            made.call(between)
    assert made.call(lambda: 1) == 1


def test_after_its_rest_one_call_probes_and_the_others_wait(clock: Clock) -> None:
    made = tripped()
    clock.now = 10.0

    def probe() -> int:
        with pytest.raises(CircuitOpen):
            made.call(lambda: pytest.fail("the probe is still out"))
        return 1

    assert made.call(probe) == 1
    assert made.call(lambda: 2) == 2


def test_a_probe_that_fails_opens_it_again(clock: Clock) -> None:
    made = tripped()
    clock.now = 10.0
    with pytest.raises(TimeoutError):
        made.call(fail)
    clock.now = 19.0
    with pytest.raises(CircuitOpen):
        made.call(lambda: None)
    clock.now = 20.0
    made.call(lambda: None)
