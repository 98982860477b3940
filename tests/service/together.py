"""Several threads, each with a database connection of its own, that start at the same moment."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql",
    reason="SQLite's transactions are serial: nothing waits for anything there",
)
LONGEST_WAIT = 20.0


def concurrent(test: Any) -> Any:
    """Mark a test, or a class of them, whose threads must see each other's committed rows and wait for locks."""
    return pytest.mark.django_db(transaction=True)(postgresql(test))


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls at once; return their results in order, an exception in place of a result."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        gate.wait(LONGEST_WAIT)
        try:
            return call()
        except Exception as error:  # whatever it was, it is for the test to judge
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(LONGEST_WAIT) for future in [pool.submit(run, call) for call in calls]]


def in_background(call: Callable[[], Any]) -> Future[Any]:
    """Start the call in a thread of its own."""

    def run() -> Any:
        try:
            return call()
        finally:
            connection.close()

    pool = ThreadPoolExecutor(1)
    future = pool.submit(run)
    pool.shutdown(wait=False)
    return future


def until(holds: Callable[[], Any], what: str) -> None:
    """Wait for something that other threads bring about."""
    end = time.monotonic() + LONGEST_WAIT
    while not holds():
        assert time.monotonic() < end, f"still not: {what}"
        time.sleep(0.005)


def until_waiting_for_a_lock(sessions: int = 1) -> None:
    """Until so many sessions of this database wait for each other's locks."""

    until(lambda: count_waiting() >= sessions, f"{sessions} sessions wait for a lock")


def count_waiting() -> int:
    """How many sessions of this database wait for a lock at this moment, also when asked in a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


@contextmanager
def stopped(of: BaseDatabaseWrapper) -> Iterator[None]:
    """Stop the server's process behind a connection: it keeps the connection, and answers nothing."""
    process = int(of.connection.info.backend_pid)
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)
