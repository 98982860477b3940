"""Duties of the relay: one that fails says so, and comes again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from structlog.testing import capture_logs

from celery_config.messaging.outbox.relay import BackgroundDuty, Duty
from tests.service.together import until


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    BackgroundDuty.threads.end_idle()


class Failing:
    """Work that fails with this error."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.calls = 0

    def __call__(self, *_: object) -> None:
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


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [KeyError("a fault"), SystemExit(0)], ids=repr)
def test_one_in_a_thread_of_its_own_says_so_too(error: BaseException) -> None:
    work = Failing(error)
    duty = BackgroundDuty("work", work)
    with capture_logs() as logs:
        for _ in range(2):
            duty.start()
            assert duty.ended.wait(5)
    assert work.calls == 2
    assert [log["event"] for log in logs] == ["a duty of the relay failed"] * 2


def test_one_for_which_no_thread_can_be_started_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    duty = BackgroundDuty("work", lambda: None)
    monkeypatch.setattr(duty.threads, "run", Failing(RuntimeError("can't start new thread")))
    for _ in range(2):
        with pytest.raises(RuntimeError):
            duty.start()


@pytest.mark.django_db(transaction=True)
def test_those_in_the_background_keep_their_connection_and_get_another_when_it_breaks() -> None:
    sessions: list[int] = []

    def ask_session() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            sessions.append(cursor.fetchone()[0])

    def ask_and_wait(duty: BackgroundDuty) -> int:
        duty.start()
        assert duty.ended.wait(5)
        # Its thread takes other work a moment later.
        until(lambda: bool(duty.threads.idle), "its thread is idle")
        return sessions[-1]

    first, second = BackgroundDuty("first", ask_session), BackgroundDuty("second", ask_session)
    with capture_logs() as logs:
        kept = ask_and_wait(first)
        assert ask_and_wait(second) == kept
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [kept])
        assert ask_and_wait(first) != kept
    assert logs == []
