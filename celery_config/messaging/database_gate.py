"""While its own database is away a worker takes no messages (rule 10).

A task that loses the database closes the gate; the consumer (worker.py) sees it, stops consuming,
and opens it again when the database answers. What goes back to the broker meanwhile waits until nothing is consumed
any more: it would be delivered again at once, and burn its delivery limit within half a second.
"""

from __future__ import annotations

import threading

from django.db import Error, InterfaceError, OperationalError, connection, transaction

database_away = threading.Event()
consumption_paused = threading.Event()


def close_if_away(error: BaseException) -> None:
    """Drop this thread's connection if an error broke it; close the gate when nothing can be written any more."""
    drop_if_unusable()
    if isinstance(error, (OperationalError, InterfaceError)) and not database_takes_writes():
        database_away.set()


def close() -> None:
    """Close the gate: not even a promise could be written."""
    connection.close()
    database_away.set()


def drop_if_unusable() -> None:
    """Drop this thread's connection if it is broken, or if its last transaction neither ended nor failed.

    That is what Django leaves behind when anything but a database error comes out of a COMMIT: whatever is written
    through that connection afterwards seems committed, and never is.
    """
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


def database_takes_writes() -> bool:
    """Whether a row can be written right now. A standby and a full disk answer every question, and take nothing."""
    from celery_config.messaging.models import (
        OutboxMessage,  # the worker knows this module before there are models
    )

    try:
        with transaction.atomic():
            OutboxMessage.objects.create(kind=OutboxMessage.Kind.EVENT, name="gate", payload={})
            transaction.set_rollback(True)
    except Error:
        connection.close()
        return False
    return True
