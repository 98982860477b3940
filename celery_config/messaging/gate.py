"""While its own database is away a worker takes no messages (rule 10).

A task that loses the database closes the gate; the consumer (worker.py) sees it, stops consuming,
and opens it again when the database answers. Nothing burns its delivery limit meanwhile.
"""

from __future__ import annotations

import threading

from django.db import DatabaseError, InterfaceError, OperationalError, connection

database_away = threading.Event()


def close_if_away(error: BaseException) -> None:
    """Drop this thread's connection after a database error; close the gate when no new one can be had."""
    if not isinstance(error, (OperationalError, InterfaceError)):
        return
    connection.close()
    if not database_answers():
        database_away.set()


def database_answers() -> bool:
    """Whether a query works right now; a broken connection is dropped."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        connection.close()
        return False
    return True
