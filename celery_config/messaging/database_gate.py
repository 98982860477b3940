"""The database gate: while its database is away a worker takes no messages (rule 10, locks and retries).

A task that loses the database closes the gate. The consumer (worker/consumer.py) then stops consuming, and opens the
gate when the database answers. A message goes back to the broker only after consumption has stopped: it would be
delivered again at once, and reach its delivery limit within half a second.
"""

from __future__ import annotations

import threading

import structlog
from django.db import Error, InterfaceError, OperationalError, connection, transaction

from celery_config.db import limits

log = structlog.get_logger(__name__)
ANSWER_SECONDS = 3.0
DATABASE_AWAY = (OperationalError, InterfaceError)
"""What is raised while the database is away: no message and no row is at fault."""
database_away = threading.Event()
consumption_paused = threading.Event()


def close_if_away(error: BaseException) -> None:
    """Drop this thread's connection if an error broke it; close the gate if the database takes no writes."""
    drop_if_unusable()
    if isinstance(error, DATABASE_AWAY) and not database_takes_writes():
        if not database_away.is_set():
            log.error("the database is away, or takes no writes", error=str(error))
        database_away.set()


def close() -> None:
    """Close the gate: not even an outbox row could be written."""
    connection.close()
    database_away.set()


def drop_if_unusable() -> None:
    """Drop this thread's connection if it is broken, or if its last transaction neither ended nor failed.

    Django leaves that behind when a COMMIT raises anything but a database error: later writes through that connection
    seem committed, and never are.
    """
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


def database_takes_writes() -> bool:
    """Whether a row can be written right now. A standby and a full disk answer queries, and take no writes."""
    from celery_config.messaging.models import (
        OutboxMessage,  # the worker imports this module before the models
    )

    try:
        # Asked by the worker's event loop, which must not stand still for as long as a statement may.
        with limits.answer_within(ANSWER_SECONDS), transaction.atomic():
            OutboxMessage.objects.create(kind=OutboxMessage.Kind.EVENT, name="gate", payload={})
            transaction.set_rollback(True)
    except Error:
        connection.close()
        return False
    return True
