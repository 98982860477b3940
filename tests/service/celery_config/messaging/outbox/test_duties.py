"""Duties of the relay: one that fails says so, and comes again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from structlog.testing import capture_logs

from celery_config.messaging.outbox.relay import BackgroundDuty, Duty, find_needed
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
            duty.do()
    assert work.calls == 2
    assert [log["event"] for log in logs] == ["a duty of the relay failed"] * 2


def test_an_interrupt_ends_the_relay() -> None:
    with pytest.raises(KeyboardInterrupt):
        Duty("work", Failing(KeyboardInterrupt()), 0.0).do()


class TestNeeds:
    """A duty that needs rows is run when there are some; one statement asks for all duties."""

    @pytest.mark.django_db
    def test_are_asked_for_at_once(self, django_assert_num_queries: Any) -> None:
        works = Duty("works", lambda: None, 60.0, needs=lambda: ("SELECT %s", [1]))
        rests = Duty("rests", lambda: None, 60.0, needs=lambda: ("SELECT 1 WHERE 1 = %s", [0]))
        always = Duty("always", lambda: None, 60.0)
        with django_assert_num_queries(1):
            assert find_needed([rests, works, always]) == [works, always]
        assert (rests.is_due(), works.is_due()) == (False, True), "it comes again after its time"

    @pytest.mark.django_db(transaction=True)
    def test_are_left_to_the_duties_when_one_statement_fails(self) -> None:
        broken = Duty("broken", lambda: None, 60.0, needs=lambda: ("SELECT 1 FROM no_such_table", []))
        rests = Duty("rests", lambda: None, 60.0, needs=lambda: ("SELECT 1 WHERE 1 = 0", []))
        with capture_logs() as logs:
            assert find_needed([broken, rests]) == [broken, rests]
        assert [log["event"] for log in logs] == ["the relay cannot ask what there is to do"]

    def test_nothing_is_asked_for_none(self) -> None:
        assert find_needed([]) == []


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
