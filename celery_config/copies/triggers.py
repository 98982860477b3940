"""The triggers of published tables: no change is missed, whether an ORM instance, `QuerySet.update` or SQL makes it.

They count versions, write tombstones, and write the events into the outbox. They are built from the contract, and
installed after every `migrate`.
"""

from __future__ import annotations

import hashlib
from typing import Any

from django.db import connections

from celery_config.copies import triggers_postgresql, triggers_sqlite
from celery_config.copies.models import Tombstone
from celery_config.copies.registry import Publication, publications
from celery_config.messaging.models import Epoch, OutboxMessage

STATEMENTS = {"postgresql": triggers_postgresql.build_statements, "sqlite": triggers_sqlite.build_statements}


def install_all(using: str, **_: Any) -> None:
    """Install the triggers of all publications whose tables exist, after every `migrate`."""
    connection = connections[using]
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        for publication in publications.values():
            needed = {model._meta.db_table for model in (publication.model, Tombstone, OutboxMessage, Epoch)}
            if needed <= set(tables):
                install(cursor, publication, connection.vendor)


def install(cursor: Any, publication: Publication, vendor: str) -> None:
    """Install the triggers. If PostgreSQL has the same ones already, this takes no lock."""
    wanted = STATEMENTS[vendor](publication)
    mark = hashlib.sha256("\0".join(wanted).encode()).hexdigest()
    if vendor == "postgresql" and triggers_postgresql.read_mark(cursor, publication) == mark:
        return
    for statement in wanted:
        cursor.execute(statement)
    if vendor == "postgresql":
        triggers_postgresql.write_mark(cursor, publication, mark)
