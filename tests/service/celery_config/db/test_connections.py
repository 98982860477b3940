"""A connection that stands is used without being asked first; one that was cut is made anew."""

from __future__ import annotations

from unittest.mock import patch

import psycopg
import pytest
from django.contrib.sessions.models import Session
from django.db import OperationalError, ProgrammingError, close_old_connections, connection
from django.db.backends.postgresql import base
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no server"),
]


def one() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return int(cursor.fetchone()[0])


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def write() -> None:
    Session.objects.create(session_key="a", session_data="", expire_date=timezone.now())


def cut(pid: int) -> None:
    """End another session, as a restarted server would, and wait until it is over."""
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def test_a_standing_connection_is_not_asked() -> None:
    pid = backend()
    close_old_connections()  # as at the start of a request
    with (
        patch.object(base.DatabaseWrapper, "is_usable", side_effect=AssertionError),
        CaptureQueriesContext(connection),
    ):
        assert one() == 1
    assert backend() == pid


def test_one_that_was_cut_is_made_anew() -> None:
    pid = backend()
    cut(pid)
    close_old_connections()
    assert one() == 1
    assert backend() != pid


def test_one_that_takes_no_writes_is_made_anew() -> None:
    """A session that began while its database was read-only stays read-only after that."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    with pytest.raises(OperationalError):
        write()
    close_old_connections()  # as at the end of a request
    write()


def test_one_that_had_another_error_is_kept() -> None:
    pid = backend()
    with pytest.raises(ProgrammingError), connection.cursor() as cursor:
        cursor.execute("SELECT nothing")
    close_old_connections()
    assert backend() == pid
