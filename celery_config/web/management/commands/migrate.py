"""`./manage.py SERVICE migrate`"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import sql

WRITTEN_BY_MIGRATIONS = ("django_migrations", "django_content_type", "auth_permission")
"""What only migrations write. A service that could write it might have a migration left out."""
WRITERS = """
SELECT DISTINCT table_name, grantee FROM information_schema.role_table_grants
WHERE table_schema = current_schema() AND table_name = ANY(%s) AND grantee <> current_user
AND privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
"""


class Command(migrate.Command):
    help = (
        f"{migrate.Command.help} It logs in with SERVICE_OWNER_DATABASE_URL, if that is set: the service itself may"
        " not own its tables, and then may not write what only migrations write."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        with logged_in_as_owner():
            super().handle(*args, **options)
            if settings.OWNER_DATABASE:
                protect_tables()


def protect_tables() -> None:
    """As their owner, let no other role write the tables that only migrations write.

    Default rights let the service write every new table, so this comes after the tables are made.
    """
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(WRITERS, [list(WRITTEN_BY_MIGRATIONS)])
        for table, role in cursor.fetchall():
            revoke = sql.SQL("REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {} FROM {}")
            cursor.execute(revoke.format(sql.Identifier(table), sql.Identifier(role)))


@contextmanager
def logged_in_as_owner() -> Iterator[None]:
    """Within the block the database is opened as the owner of its tables, if the environment names one."""
    if not settings.OWNER_DATABASE:
        yield
        return
    connection = connections[DEFAULT_DB_ALIAS]
    usual = connection.settings_dict
    connection.close()
    # The name stays: in tests it is that of the test database.
    connection.settings_dict = {**usual, **settings.OWNER_DATABASE, "NAME": usual["NAME"]}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = usual
