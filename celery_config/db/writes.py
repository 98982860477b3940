"""Whether the database takes writes: a standby, a read-only database and one with a full disk answer, and take none."""

from __future__ import annotations

import threading

from django.db import connection

from celery_config.db.functions import find_sqlstate

READ_ONLY, DISK_FULL = "25006", "53100"
"""SQLSTATE: a write was refused."""
ASK = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"

REFUSES = "takes no writes"
"""What the words about a database begin with that answers, and takes none."""

refused_lately = threading.Event()
"""This process had a write refused, and does not know that the next one will be taken."""


def is_refusal(error: BaseException) -> bool:
    """Whether a database error says that the database takes no writes at all."""
    return find_sqlstate(error) in (READ_ONLY, DISK_FULL)


def find_refusal() -> str:
    """Ask the database why it takes no writes: one round trip, and no write; empty: it says nothing against them.

    A full disk does not show here: only a write meets it.

    Raises:
        the database's errors: it does not answer.
    """
    postgresql = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute(ASK if postgresql else "SELECT 1")
        standby, read_only = cursor.fetchone() if postgresql else (False, False)
    if standby:
        return f"{REFUSES}: it is a standby"
    return f"{REFUSES}: it is read-only (default_transaction_read_only)" if read_only else ""
