"""Database functions: the database's clock, and what a transaction or process asks of PostgreSQL."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models import Func, QuerySet, TextField, functions

from celery_config.failpoints.points import Point, Way, reach

POSTGRESQL_NOW, SQLITE_NOW = "STATEMENT_TIMESTAMP()", "STRFTIME('%Y-%m-%d %H:%M:%f000', 'NOW')"
# As a part of a statement; doubled for the driver.
NOW = {"postgresql": POSTGRESQL_NOW, "sqlite": SQLITE_NOW.replace("%", "%%")}


class Now(functions.Now):
    """The database's present time, on SQLite with as many digits as a parameter has.

    SQLite compares times as text, and Django's own `Now` writes three digits of the second there.
    """

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # Doubled once for the template and once for the driver.
        return self.as_sql(compiler, connection, template=SQLITE_NOW.replace("%", "%%%%"), **context)


ENDING_LENGTH = 8
"""So many digits of an id are shown, its last ones: ids that grow with time begin alike."""


class IdEnding(Func):
    """The end of an id, by which people find it; an index on it is `Index(IdEnding("id"), name=…)`."""

    template = f"RIGHT((%(expressions)s)::text, {ENDING_LENGTH})"
    output_field = TextField()
    arity = 1

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(
            compiler, connection, template=f"SUBSTR(%(expressions)s, -{ENDING_LENGTH})", **context
        )


def cached_sql(query: Callable[..., QuerySet[Any, Any]]) -> Callable[..., tuple[str, tuple[Any, ...]]]:
    """Decorate a function that returns a query set: return SQL and parameters for a cursor, built once per arguments.

    For the queries of every order or request: Django builds one in as much time as the database needs to answer it.
    """

    @functools.cache
    @functools.wraps(query)
    def statement(*args: Any) -> tuple[str, tuple[Any, ...]]:
        sql, parameters = query(*args).query.sql_with_params()
        return sql, parameters

    return statement


def fetch_all(sql: str, parameters: Sequence[Any] | None = None) -> list[Any]:
    """Execute plain SQL and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[Any] = cursor.fetchall()
    return rows


def fetch_now() -> datetime:
    """Ask the database for its present time: one round trip."""
    ((moment,),) = fetch_all(f"SELECT {POSTGRESQL_NOW if connection.vendor == 'postgresql' else SQLITE_NOW}")
    return parse_time(moment)


def parse_time(stored: datetime | str) -> datetime:
    """Parse a time as a cursor returns it: SQLite's has no zone, and is text unless it comes straight from a column."""
    moment = stored if isinstance(stored, datetime) else datetime.fromisoformat(stored)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def disable_synchronous_commit() -> None:
    """Let this transaction's commit not wait for the disk; for work that is simply repeated if a crash loses it.

    This sets PostgreSQL's `synchronous_commit` for one transaction. A transaction that waits for the disk also flushes
    the earlier ones it depends on.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")


@contextmanager
def commit_failpoints() -> Iterator[None]:
    """Let a test break off before and after the commit in this block.

    Raises:
        OperationalError: a failpoint cut the connection before the answer to the commit came.
    """
    reach(Point.BEFORE_COMMIT)
    yield
    if reach(Point.COMMITTED) is Way.NO_DATABASE:
        raise OperationalError("the connection was lost before the answer to COMMIT came")


def force_index_plans() -> None:
    """Let PostgreSQL find rows by index in this process, whatever it believes of a table's size.

    A worker's or relay's statements name the rows they want. Each is planned once and kept. A plan that suits a table
    of a hundred rows reads the whole table when it has ten thousand, until it is analysed: measured, half of
    PostgreSQL's time on a new database.
    """
    connection_created.connect(prefer_indexes, dispatch_uid="prefer indexes")


def prefer_indexes(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off")


def find_sqlstate(error: BaseException) -> str:
    """The SQLSTATE behind one of Django's database errors; empty if it has none."""
    return getattr(error.__cause__, "sqlstate", None) or ""
