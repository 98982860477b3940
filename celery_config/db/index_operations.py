"""Operations of migrations that build and drop indexes while orders flow; SQLite has only the plain way."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.operations import (
    AddIndexConcurrently,
    NotInTransactionMixin,
    RemoveIndexConcurrently,
)
from django.db import migrations


def is_postgresql(schema_editor: Any) -> bool:
    return bool(schema_editor.connection.vendor == "postgresql")


class AddIndex(AddIndexConcurrently):
    """Adds an index. The migration must not be atomic."""

    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        way = AddIndexConcurrently if is_postgresql(schema_editor) else migrations.AddIndex
        way.database_forwards(self, app_label, schema_editor, *states)

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        way = AddIndexConcurrently if is_postgresql(schema_editor) else migrations.AddIndex
        way.database_backwards(self, app_label, schema_editor, *states)


class RemoveIndex(RemoveIndexConcurrently):
    """Removes an index. The migration must not be atomic."""

    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        way = RemoveIndexConcurrently if is_postgresql(schema_editor) else migrations.RemoveIndex
        way.database_forwards(self, app_label, schema_editor, *states)

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        way = RemoveIndexConcurrently if is_postgresql(schema_editor) else migrations.RemoveIndex
        way.database_backwards(self, app_label, schema_editor, *states)


class AddUniqueness(NotInTransactionMixin, migrations.AddConstraint):
    """Adds a unique constraint of some rows of a table, which is an index. The migration must not be atomic."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if not is_postgresql(schema_editor):
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        self._ensure_not_in_transaction(schema_editor)
        model = to_state.apps.get_model(app_label, self.model_name)
        sql = str(self.constraint.create_sql(model, schema_editor))
        concurrently = "UNIQUE INDEX CONCURRENTLY IF NOT EXISTS"
        schema_editor.execute(sql.replace("UNIQUE INDEX", concurrently, 1), params=None)


class AddBeginningIndex(NotInTransactionMixin, migrations.RunSQL):
    """Adds an index by which `column__istartswith` finds rows, on PostgreSQL alone; so no model can declare it."""

    def __init__(self, name: str, table: str, column: str) -> None:
        self.name, self.table, self.column = name, table, column
        super().__init__(
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table} (UPPER({column}::text) text_pattern_ops)",
            f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
        )

    def deconstruct(self) -> Any:
        return self.__class__.__qualname__, [self.name, self.table, self.column], {}

    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        if is_postgresql(schema_editor):
            self._ensure_not_in_transaction(schema_editor)
            super().database_forwards(app_label, schema_editor, *states)

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        if is_postgresql(schema_editor):
            self._ensure_not_in_transaction(schema_editor)
            super().database_backwards(app_label, schema_editor, *states)
