"""Many rows with one statement whose text never changes, on PostgreSQL and on SQLite.

A placeholder for every value makes a statement that grows with the batch, and that the driver takes apart anew each
time: a third of a worker's time, measured. Here all rows are one JSON parameter, which the database reads as a table.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from django.db import connection, models, transaction

from celery_config.common.codec import encode_strictly
from celery_config.common.grouping import group_by
from celery_config.db.functions import NOW, Now


@dataclass(frozen=True)
class Statement:
    """A statement and its rows, not yet carried out."""

    statement: str
    given: str
    then: Callable[[], object] | None = None
    """Called once it is committed."""


def insert_statement(
    model: type[models.Model], rows: Sequence[Any], fields: Sequence[str]
) -> list[Statement]:
    """What inserts rows: nothing or one change. Columns that are not named take the database's default."""
    if not rows:
        return []
    return [
        Statement(insertion(model, tuple(fields), "", connection.vendor), json_parameter(model, rows, fields))
    ]


def update_statement(
    model: type[models.Model], rows: Sequence[Any], fields: Sequence[str]
) -> list[Statement]:
    """What writes these fields of rows that are locked here; one that is `Now()` gets the database's time."""
    changes = []
    for stamped, some in group_by(lambda row: stamped_of(row, fields), rows).items():
        given = tuple(name for name in fields if name not in stamped)
        statement = updating(model, given, stamped, connection.vendor)
        changes.append(Statement(statement, json_parameter(model, some, ("pk", *given))))
    return changes


def upsert_newer_statement(
    model: type[models.Model], rows: Sequence[Any], fields: Sequence[str], version: str, stamped: str
) -> list[Statement]:
    """What inserts rows, and overwrites those that are there with an older `version`.

    Args:
        version: the field that is compared.
        stamped: a field that gets the database's time.
    """
    if not rows:
        return []
    statement = putting_newer(model, tuple(fields), version, stamped, connection.vendor)
    return [Statement(statement, json_parameter(model, rows, fields))]


def delete_statement(model: type[models.Model], keys: Sequence[Any]) -> list[Statement]:
    """What deletes rows by their primary keys: nothing or one change."""
    if not keys:
        return []
    field = get_field(model, "pk")
    given, key = json_relation(model, ("pk",), connection.vendor), quote_name(field.column)
    statement = f"DELETE FROM {table_name(model)} WHERE {key} IN (SELECT {key} FROM {given})"
    rows = [SimpleNamespace(**{field.attname: each}) for each in keys]
    return [Statement(statement, json_parameter(model, rows, ("pk",)))]


def execute(*changes: Statement) -> None:
    """Carry out changes of different rows: in one statement, where the database can."""
    if not changes:
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                _combine(tuple(each.statement for each in changes)), [each.given for each in changes]
            )
        else:
            for each in changes:
                cursor.execute(each.statement, [each.given])
    for then in {each.then for each in changes if each.then}:
        transaction.on_commit(then)


def execute_atomically(*changes: Statement) -> None:
    """Carry out all changes or none, in a transaction under way too; where one statement can, that is it.

    Raises:
        IntegrityError: none was carried out, and a transaction under way goes on.
    """
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        at_once(*changes)
        return
    with transaction.atomic():
        execute(*changes)


def at_once(*changes: Statement) -> None:
    """Carry out changes by one statement, which is a transaction of its own."""
    execute(*changes)


@functools.cache
def _combine(statements: tuple[str, ...]) -> str:
    *first, last = statements
    named = ", ".join(f"change_{number} AS ({each})" for number, each in enumerate(first))
    return f"WITH {named} {last}" if named else last


def insert(model: type[models.Model], rows: Sequence[Any], fields: Sequence[str]) -> None:
    """Insert rows at once."""
    execute(*insert_statement(model, rows, fields))


def update(model: type[models.Model], rows: Sequence[Any], fields: Sequence[str]) -> None:
    """Write these fields of rows that are locked here, at once."""
    execute(*update_statement(model, rows, fields))


def insert_new(
    model: type[models.Model], rows: Sequence[Any], fields: Sequence[str], *, returning: str
) -> list[Any]:
    """Insert rows, less those that a unique constraint knows already; return a field of the others, in no order."""
    if not rows:
        return []
    with connection.cursor() as cursor:
        statement = insertion(model, tuple(fields), returning, connection.vendor)
        cursor.execute(statement, [json_parameter(model, rows, fields)])
        returned = get_field(model, returning)
        return [returned.to_python(value) for (value,) in cursor.fetchall()]


def stamped_of(row: Any, fields: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in fields if isinstance(getattr(row, name), Now))


@functools.cache
def insertion(model: type[models.Model], fields: tuple[str, ...], returning: str, vendor: str) -> str:
    columns = ", ".join(quote_name(get_field(model, name).column) for name in fields)
    # Without WHERE, SQLite takes the ON of ON CONFLICT for that of a join.
    given = json_relation(model, fields, vendor)
    statement = f"INSERT INTO {table_name(model)} ({columns}) SELECT {columns} FROM {given} WHERE TRUE"
    if returning:
        statement += f" ON CONFLICT DO NOTHING RETURNING {quote_name(get_field(model, returning).column)}"
    return statement


@functools.cache
def putting_newer(
    model: type[models.Model], fields: tuple[str, ...], version: str, stamped: str, vendor: str
) -> str:
    key, *columns = (quote_name(get_field(model, name).column) for name in fields)
    changes = [f"{column} = excluded.{column}" for column in columns]
    changes.append(f"{quote_name(get_field(model, stamped).column)} = {NOW[vendor]}")
    newer = quote_name(get_field(model, version).column)
    return (
        f"{insertion(model, fields, '', vendor)} ON CONFLICT ({key}) DO UPDATE SET {', '.join(changes)}"
        f" WHERE {table_name(model)}.{newer} < excluded.{newer}"
    )


@functools.cache
def updating(
    model: type[models.Model], fields: tuple[str, ...], stamped: tuple[str, ...], vendor: str
) -> str:
    columns = [quote_name(get_field(model, name).column) for name in fields]
    changes = [f"{column} = given.{column}" for column in columns]
    changes += [f"{quote_name(get_field(model, name).column)} = {NOW[vendor]}" for name in stamped]
    key = quote_name(get_field(model, "pk").column)
    return (
        f"UPDATE {table_name(model)} SET {', '.join(changes)} FROM {json_relation(model, ('pk', *fields), vendor)}"
        f" WHERE {table_name(model)}.{key} = given.{key}"
    )


def json_relation(model: type[models.Model], fields: Iterable[str], vendor: str) -> str:
    """The parameter as a table called `given`, with a column for each field."""
    columns = [get_field(model, name) for name in fields]
    if vendor == "postgresql":
        described = ", ".join(f"{quote_name(field.column)} {field.db_type(connection)}" for field in columns)
        return f"json_to_recordset(%s::json) AS given({described})"
    values = ", ".join(f"{from_json(field)} AS {quote_name(field.column)}" for field in columns)
    return f"(SELECT {values} FROM json_each(%s)) AS given"


def from_json(field: Any) -> str:
    """A column of a JSON row as Django stores it in SQLite."""
    value = f"json_extract(value, '$.{field.column}')"
    kind = field
    while kind.is_relation:  # whose key may be a relation itself
        kind = kind.target_field
    if isinstance(kind, models.UUIDField):
        return f"replace({value}, '-', '')"
    if isinstance(kind, models.DateTimeField):
        return f"replace(replace({value}, 'T', ' '), 'Z', '')"
    if isinstance(kind, models.JSONField):
        return f"CASE WHEN {value} IS NOT NULL THEN json_quote({value}) END"
    return value


def json_parameter(model: type[models.Model], rows: Sequence[Any], fields: Iterable[str]) -> str:
    columns = [(get_field(model, name).column, get_field(model, name).attname) for name in fields]
    return encode_strictly([{column: plain(getattr(row, name)) for column, name in columns} for row in rows])


def plain(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def get_field(model: type[models.Model], name: str) -> Any:
    return model._meta.pk if name == "pk" else model._meta.get_field(name)


def table_name(model: type[models.Model]) -> str:
    return quote_name(model._meta.db_table)


def quote_name(name: str) -> str:
    return connection.ops.quote_name(name)
