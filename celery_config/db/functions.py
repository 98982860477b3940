"""What the databases themselves say."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models import QuerySet, functions

SQLITE_NOW = "STRFTIME('%Y-%m-%d %H:%M:%f000', 'NOW')"
# As a part of a statement; doubled for the driver.
NOW = {"postgresql": "STATEMENT_TIMESTAMP()", "sqlite": SQLITE_NOW.replace("%", "%%")}


class Now(functions.Now):
    """The database's present time, on SQLite with as many digits as a parameter has.

    SQLite compares times as text, and Django's own `Now` writes three digits of the second there.
    """

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # Doubled once for the template and once for the driver.
        return self.as_sql(compiler, connection, template=SQLITE_NOW.replace("%", "%%%%"), **context)


def cached_sql(query: Callable[..., QuerySet[Any, Any]]) -> Callable[..., tuple[str, tuple[Any, ...]]]:
    """Let a query set become a statement and its values, as a cursor takes them, once for the arguments it is given.

    For what every order or request asks: building it takes Django as long as asking does.
    """

    @functools.cache
    @functools.wraps(query)
    def statement(*given: Any) -> tuple[str, tuple[Any, ...]]:
        text, values = query(*given).query.sql_with_params()
        return text, values

    return statement


def fetch_now() -> datetime:
    """The same as a value: one round trip."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {'STATEMENT_TIMESTAMP()' if connection.vendor == 'postgresql' else SQLITE_NOW}"
        )
        (moment,) = cursor.fetchone()
    return parse_time(moment)


def parse_time(stored: datetime | str) -> datetime:
    """A time as a cursor gives it: SQLite's has no zone, and is text unless it comes straight from a column."""
    moment = stored if isinstance(stored, datetime) else datetime.fromisoformat(stored)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def disable_synchronous_commit() -> None:
    """Let this transaction's commit not wait for the disk: what a crash takes back is done again, and that is borne.

    PostgreSQL's `synchronous_commit`, for one transaction; what it depends on is never lost with it.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")


def force_index_plans() -> None:
    """Let PostgreSQL find rows by their indexes in this process, whatever it believes of a table's size.

    A worker's or relay's statements name the rows they want. Each is planned once and kept, and the plan that was right
    for a table of a hundred rows reads all of it when there are ten thousand, until it is analysed: measured, half of
    PostgreSQL's time on a new database.
    """
    connection_created.connect(prefer_indexes, dispatch_uid="prefer indexes")


def prefer_indexes(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off")
