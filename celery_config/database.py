"""What the databases themselves say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import functions

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


def now() -> datetime:
    """The same as a value: one round trip."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {'STATEMENT_TIMESTAMP()' if connection.vendor == 'postgresql' else SQLITE_NOW}"
        )
        (moment,) = cursor.fetchone()
    return as_time(moment)


def as_time(stored: datetime | str) -> datetime:
    """A time as a cursor gives it: SQLite's has no zone, and is text unless it comes straight from a column."""
    moment = stored if isinstance(stored, datetime) else datetime.fromisoformat(stored)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def forget_if_it_dies() -> None:
    """Let this transaction's commit not wait for the disk: what a crash takes back is done again, and that is borne.

    PostgreSQL's `synchronous_commit`, for one transaction; what it depends on is never lost with it.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
