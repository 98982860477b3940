"""What the databases themselves say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import Model, functions

SQLITE_NOW = "STRFTIME('%Y-%m-%d %H:%M:%f000', 'NOW')"


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
    return moment if isinstance(moment, datetime) else datetime.fromisoformat(moment).replace(tzinfo=UTC)


def upsert(model: type[Model], rows: Sequence[Any], fields: Sequence[str]) -> None:
    """Write these fields of rows that are locked here: one statement, of which only the update ever happens."""
    if rows:
        key = model._meta.pk
        assert key is not None
        model._default_manager.bulk_create(
            rows, update_conflicts=True, unique_fields=[key.name], update_fields=list(fields)
        )
