"""While its own database is away a worker takes no messages (rule 10).

A task that loses the database closes the gate; the consumer (worker.py) sees it, stops consuming,
and opens it again when the database answers. What goes back to the broker meanwhile waits until nothing is consumed
any more: it would be delivered again at once, and burn its delivery limit within half a second.
"""

from __future__ import annotations

import threading

from django.db import DatabaseError, InterfaceError, OperationalError, connection

database_away = threading.Event()
nothing_is_taken = threading.Event()


def close_if_away(error: BaseException) -> None:
    """Drop this thread's connection if an error broke it; close the gate when no new one can be had."""
    drop_if_unusable()
    if not isinstance(error, (OperationalError, InterfaceError)):
        return
    connection.close()
    if not database_answers():
        database_away.set()


def drop_if_unusable() -> None:
    """Drop this thread's connection if it is broken, or if its last transaction neither ended nor failed.

    That is what Django leaves behind when anything but a database error comes out of a COMMIT: whatever is written
    through that connection afterwards seems committed, and never is.
    """
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


def database_answers() -> bool:
    """Whether a query works right now; a broken connection is dropped."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        connection.close()
        return False
    return True
