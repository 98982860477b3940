"""What keeps a service's messages from moving is written down, shown and told to the orchestrator (rule 17)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.test import Client
from psycopg import errors

from celery_config.db.functions import Now
from celery_config.messaging import duties, trouble
from celery_config.messaging.models import OutboxMessage, Trouble
from celery_config.messaging.outbox import publishing
from celery_config.messaging.trouble import Cause
from tests.service.peer import bearer
from tests.service.together import in_background, postgresql

pytestmark = pytest.mark.django_db


def database_error(cause: type[errors.Error], text: str = "canceling statement") -> OperationalError:
    error = OperationalError(text)
    error.__cause__ = cause(text)
    return error


def ask() -> list[str]:
    """What the orchestrator is told."""
    headers = {"Authorization": bearer("order")}
    return list(Client(headers=headers).get("/api/trouble/").json()["trouble"])


def promise(late: float) -> None:
    """An outbox row that could have been sent so many seconds ago."""
    due = Now() - timedelta(seconds=late)
    payload = {"id": str(uuid4()), "type": "hotel.booked"}
    OutboxMessage.objects.create(kind="event", name="hotel.booked", saga=uuid4(), payload=payload, due_at=due)


class TestItsOwnDatabase:
    def test_one_failure_may_be_chance_and_many_are_not(self) -> None:
        error = database_error(errors.LockNotAvailable, "canceling statement due to lock timeout\nCONTEXT: …")
        assert trouble.check_messages() == "ok"
        trouble.note_failure(error)
        assert trouble.check_messages().startswith("warning: messages wait for another try since ")
        for _ in range(trouble.MANY - 1):
            trouble.note_failure(error)
        assert trouble.check_messages().startswith("messages wait for another try since ")
        assert trouble.check_messages().endswith(": canceling statement due to lock timeout")
        assert [trouble.check_messages()] == ask()

    def test_it_is_over_when_nothing_fails_any_more(self) -> None:
        for _ in range(trouble.MANY):
            trouble.note_failure(database_error(errors.DeadlockDetected))
        Trouble.objects.update(until=Now() - timedelta(seconds=1), since=Now() - timedelta(hours=1))
        assert (trouble.check_messages(), ask(), trouble.measure_seconds()["database"]) == ("ok", [], 0.0)
        trouble.note_failure(database_error(errors.DeadlockDetected))
        assert trouble.check_messages().startswith("warning: ")
        assert trouble.measure_seconds()["database"] < 60

    def test_how_long_it_lasts_is_measured(self) -> None:
        trouble.note_failure(database_error(errors.LockNotAvailable))
        Trouble.objects.update(since=Now() - timedelta(hours=1))
        trouble.note_failure(database_error(errors.LockNotAvailable))
        assert trouble.measure_seconds() == {
            "database": pytest.approx(3600, abs=5), "handler": 0.0, "relay": 0.0,
        }  # fmt: skip

    @pytest.mark.parametrize(
        "error",
        [
            ConnectionError("the provider is away"),
            database_error(errors.ProgramLimitExceeded),
            ValueError("ours"),
        ],
    )
    def test_what_is_outside_and_what_a_message_is_to_blame_for_is_none(self, error: Exception) -> None:
        trouble.note_failure(error)
        assert not Trouble.objects.exists()

    def test_it_lasts_longer_than_the_longest_wait_for_a_try(self) -> None:
        times = settings.TIMES
        assert times.next_try_within > 1.25 * max(times.retry_delays) + times.lock_wait


class TestItsRelay:
    def test_a_message_that_nobody_sends_is_told(self) -> None:
        promise(late=4)
        assert ask() == []
        promise(late=20)
        assert ask() == ["the relay is 20 s behind"]

    @pytest.fixture
    def publish_late(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
        """Send a late message, as a participant's relay does."""
        monkeypatch.setattr(publishing, "late_publish_observers", [])
        monkeypatch.setattr(duties.settings, "SERVICE", "payment")
        duties.standard_duties()
        promise(late=20)

        class Broker:
            held: set[str] = set()
            faults: dict[int, str] = {}

            def publish(self, messages: Any) -> set[int]:
                return set(range(len(messages)))

        return lambda: publishing.publish_batch(Broker(), 10) and None  # type: ignore[arg-type]

    def test_one_that_was_sent_late_is_told_for_a_while(
        self, publish_late: Callable[[], None], django_capture_on_commit_callbacks: Any
    ) -> None:
        """Else an order whose deadline passes just after the relay went on would be stopped."""
        with django_capture_on_commit_callbacks(execute=True):
            publish_late()
        (text,) = ask()
        assert text.startswith("messages are sent late since ")
        assert trouble.check_messages() == "ok"

    @postgresql
    @pytest.mark.django_db(transaction=True)
    def test_a_note_that_meets_a_lock_holds_up_no_message(self, publish_late: Callable[[], None]) -> None:
        """Another relay hangs with the note in its hands: this one sent the same message again and again."""
        locked, done = threading.Event(), threading.Event()

        def lock() -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("LOCK TABLE messaging_trouble IN ACCESS EXCLUSIVE MODE")
                locked.set()
                assert done.wait(20)

        holder = in_background(lock)
        assert locked.wait(20)
        publish_late()
        assert not OutboxMessage.objects.filter(published_at=None).exists()
        done.set()
        holder.result(20)


def test_only_services_are_told() -> None:
    assert Client().get("/api/trouble/").status_code in (401, 403)


def test_what_cannot_be_noted_disturbs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(Trouble.objects, "filter", fail)
    trouble.note(Cause.HANDLER, "hotel.book", 5)
    monkeypatch.undo()
    assert not Trouble.objects.exists()
