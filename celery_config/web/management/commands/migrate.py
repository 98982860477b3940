"""`./manage.py SERVICE migrate`"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.recorder import MigrationRecorder


class Command(migrate.Command):
    help = (
        f"{migrate.Command.help} It logs in with SERVICE_OWNER_DATABASE_URL, if that is set: the service itself may"
        " not own its tables. The service may then read which migrations were applied, and not write it."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        with logged_in_as_owner():
            super().handle(*args, **options)
            protect_record()


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


def protect_record() -> None:
    """Let the service only read the record of migrations: what it wrote there, the owner would carry out or leave out.

    To be called as the owner; the owner's default rights let the service write new tables, this one included.
    """
    if not settings.OWNER_DATABASE:
        return
    service = str(settings.DATABASES[DEFAULT_DB_ALIAS]["USER"])
    connection = connections[DEFAULT_DB_ALIAS]
    recorder = MigrationRecorder(connection)
    if settings.OWNER_DATABASE["USER"] == service or not recorder.has_table():
        return
    quote_name = connection.ops.quote_name
    table = quote_name(recorder.Migration._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"REVOKE INSERT, UPDATE, DELETE ON {table} FROM {quote_name(service)}")
