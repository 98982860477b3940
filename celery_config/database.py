"""What the databases themselves say."""

from __future__ import annotations

from typing import Any

from django.db.models import functions


class Now(functions.Now):
    """The database's present time, on SQLite with as many digits as a parameter has.

    SQLite compares times as text, and Django's own `Now` writes three digits of the second there.
    """

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # Doubled once for the template and once for the driver.
        template = "STRFTIME('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f000', 'NOW')"
        return self.as_sql(compiler, connection, template=template, **context)
