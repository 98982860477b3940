"""Statement limits on a real server: one that works too long, and one that hangs."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from celery_config.db import limits
from celery_config.messaging import database_gate
from tests.service.together import concurrent, in_background, postgresql, stopped

pytestmark = [pytest.mark.django_db, postgresql]


@pytest.fixture
def other() -> Iterator[BaseDatabaseWrapper]:
    """A second connection."""
    made = connection.copy()
    made.ensure_connection()
    yield made
    made.close()


def ask(of: BaseDatabaseWrapper, sql: str) -> object:
    with of.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def test_a_server_that_hangs_is_given_up(other: BaseDatabaseWrapper) -> None:
    other.connection.answer_seconds = 0.3
    with stopped(other):
        began = time.monotonic()
        with pytest.raises(OperationalError, match=r"has not answered for 0\.3 s"):
            ask(other, "SELECT 1")
        assert time.monotonic() - began < 2
        assert not other.is_usable()
    other.close()
    assert ask(other, "SELECT 1") == 1


def test_a_statement_that_takes_too_long_is_ended(other: BaseDatabaseWrapper) -> None:
    limits.set_limit(0.3, other)
    with pytest.raises(OperationalError, match="statement timeout"):
        ask(other, "SELECT pg_sleep(5)")
    assert other.connection.answer_seconds == 0.3 + limits.ANSWER_SECONDS


def test_a_command_takes_its_time(other: BaseDatabaseWrapper, settings: pytest.FixtureRequest) -> None:
    """Migrations and audits may need ten minutes for one statement; only serving processes set limits."""
    settings.STATEMENT_SECONDS = 0.1  # type: ignore[attr-defined]
    assert ask(other, "SHOW statement_timeout") == "0"
    assert ask(other, "SELECT pg_sleep(0.3)") == ""
    assert other.connection.answer_seconds is None


def test_slow_work_of_a_serving_process_takes_its_time() -> None:
    def work() -> tuple[object, object]:
        limits.limit_statements(settings.STATEMENT_SECONDS)
        with limits.slow_statements():
            slow = ask(connection, "SHOW statement_timeout")
        quick = ask(connection, "SHOW statement_timeout")
        connection.close()
        return slow, quick

    try:
        assert in_background(work).result(20) == ("0", f"{settings.STATEMENT_SECONDS:g}s")
    finally:
        limits.connection_created.disconnect(dispatch_uid="limit statements")


@concurrent
def test_a_hung_database_takes_no_writes_and_the_gate_learns_it_soon() -> None:
    """The worker's event loop asks; it has heartbeats to send."""

    def look() -> tuple[bool, bool, float]:
        connection.ensure_connection()
        began = time.monotonic()
        with stopped(connection):
            hung = database_gate.database_takes_writes()
        took = time.monotonic() - began
        again = database_gate.database_takes_writes()
        connection.close()
        return hung, again, took

    hung, again, took = in_background(look).result(30)
    assert (hung, again) == (False, True)
    assert took < 2 * database_gate.ANSWER_SECONDS
