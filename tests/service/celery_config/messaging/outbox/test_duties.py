"""Duties of the relay: one that fails says so, and comes again."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from celery_config.messaging.outbox.relay import BackgroundDuty, Duty


class Failing:
    """Work that fails with this error."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        raise self.error


@pytest.mark.parametrize("error", [KeyError("a fault"), SystemExit(0)], ids=repr)
def test_an_error_is_logged_and_the_duty_comes_again(error: BaseException) -> None:
    work = Failing(error)
    duty = Duty("work", work, 0.0)
    with capture_logs() as logs:
        for _ in range(2):
            duty.run_if_due()
    assert work.calls == 2
    assert [log["event"] for log in logs] == ["a duty of the relay failed"] * 2


def test_an_interrupt_ends_the_relay() -> None:
    with pytest.raises(KeyboardInterrupt):
        Duty("work", Failing(KeyboardInterrupt()), 0.0).run_if_due()


@pytest.mark.parametrize("error", [KeyError("a fault"), SystemExit(0)], ids=repr)
def test_one_in_a_thread_of_its_own_says_so_too(error: BaseException) -> None:
    work = Failing(error)
    duty = BackgroundDuty("work", work)
    with capture_logs() as logs:
        for _ in range(2):
            duty.start()
            assert duty.thread
            duty.thread.join()
    assert work.calls == 2
    assert [log["event"] for log in logs] == ["a duty of the relay failed"] * 2
