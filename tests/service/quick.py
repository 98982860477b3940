"""What makes a service's test short: passwords hashed in microseconds, tables emptied without a migration's signals.

Django truncates every table after a test that commits, then makes all permissions again: half of such a test's time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from django.db import connection
from django.test import TransactionTestCase, override_settings

# They follow from the models alone, and no test changes them.
KEPT = {"django_content_type", "auth_permission"}


@contextmanager
def made_quick() -> Iterator[None]:
    """Hash passwords with MD5; on PostgreSQL, empty only the tables that a test filled."""
    hashers = override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"])
    if connection.vendor != "postgresql":
        with hashers:
            yield
        return
    with hashers, patch.object(TransactionTestCase, "_fixture_teardown", lambda _test: empty_tables()):
        yield


def empty_tables() -> None:
    """Delete all rows but those in `KEPT`."""
    tables = {*connection.introspection.django_table_names(only_existing=True, include_views=False)} - KEPT
    look = " UNION ALL ".join(
        f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in sorted(tables)
    )
    with connection.cursor() as cursor:
        # A trigger may keep what is emptied in another table.
        while True:
            cursor.execute(look)
            if not (filled := cursor.fetchall()):
                return
            cursor.execute(f"TRUNCATE {', '.join(table for (table,) in filled)} CASCADE")
