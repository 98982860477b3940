"""Statement limits: a process that serves does not wait without end for its database.

PostgreSQL ends a statement that takes too long (`statement_timeout`). A server that hangs cannot do that, and its host
still answers for its connections: then the client gives up, and closes the connection. What became of a transaction is
unknown after that, as after any lost connection; the barrier decides when the message comes again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

ANSWER_SECONDS = 5.0
"""How much longer the client waits than the server may work."""


class StatementLimit(threading.local):
    """Whether this thread's statements may take their time."""

    slow = False


here = StatementLimit()


def limit_statements(seconds: float) -> None:
    """Limit each statement of this process to so many seconds; for web, worker and relay, not for commands."""
    # A signal holds its receivers weakly.
    connection_created.connect(partial(set_limit, seconds), weak=False, dispatch_uid="limit statements")


def set_limit(seconds: float, connection: BaseDatabaseWrapper, **_: Any) -> None:
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = {0 if here.slow else int(seconds * 1000)}")
    connection.connection.answer_seconds = None if here.slow else seconds + ANSWER_SECONDS


@contextmanager
def slow_statements() -> Iterator[None]:
    """Let this thread's statements take their time: for retention, comparisons and sweeps within a relay.

    The thread has no connection before it and after it: each has the limits of its time.
    """
    close_unless_in_transaction()
    here.slow = True
    try:
        yield
    finally:
        here.slow = False
        close_unless_in_transaction()


def limit_lock_waits(seconds: float) -> None:
    """Wait at most so many seconds for each lock until the end of this transaction; SQLite has no such limit."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {int(seconds * 1000)}")


def close_unless_in_transaction() -> None:
    if not connection.in_atomic_block:
        connection.close()


@contextmanager
def answer_within(seconds: float) -> Iterator[None]:
    """Wait at most so many seconds for each answer of the database in this block.

    Raises:
        OperationalError: the database did not answer; its connection is closed.
    """
    connection.ensure_connection()
    raw = connection.connection
    before = getattr(raw, "answer_seconds", None)
    if connection.vendor == "postgresql":
        raw.answer_seconds = seconds
    try:
        yield
    finally:
        if connection.vendor == "postgresql":
            raw.answer_seconds = before
