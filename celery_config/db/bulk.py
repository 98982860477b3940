"""Bulk SQL: many rows in one statement whose text never changes, on PostgreSQL and on SQLite.

A placeholder for each value makes a statement that grows with the batch, and the driver parses it again each time:
a third of a worker's time, measured. Here all rows are one JSON parameter, which the database reads as a table.
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
from celery_config.db.functions import NOW, Now, commit_failpoints, fetch_all

Model = type[models.Model]


@dataclass(frozen=True)
class Statement:
    """A statement that is not executed yet. `insert_statement` and its like make none for no rows."""

    sql: str
    parameter: str
    """The rows, as JSON."""
    on_commit: Callable[[], object] | None = None


def insert(model: Model, rows: Sequence[Any], fields: Sequence[str]) -> None:
    """Insert rows; columns that are not named take the database's default."""
    execute(*insert_statement(model, rows, fields))


def insert_statement(model: Model, rows: Sequence[Any], fields: Sequence[str]) -> list[Statement]:
    return _make_statement(build_insert(model, tuple(fields), "", connection.vendor), model, rows, fields)


def insert_new(model: Model, rows: Sequence[Any], fields: Sequence[str], *, returning: str) -> list[Any]:
    """Insert the rows that no unique constraint forbids; return a field of these, in no order."""
    if not rows:
        return []
    sql = build_insert(model, tuple(fields), returning, connection.vendor)
    made = fetch_all(sql, [json_parameter(model, rows, fields)])
    return [get_field(model, returning).to_python(value) for (value,) in made]


def update(model: Model, rows: Sequence[Any], fields: Sequence[str]) -> None:
    """Write these fields of rows that the transaction has locked; a field that is `Now()` gets the database's time."""
    execute(*update_statement(model, rows, fields))


def update_statement(model: Model, rows: Sequence[Any], fields: Sequence[str]) -> list[Statement]:
    def find_stamped(row: Any) -> tuple[str, ...]:
        return tuple(name for name in fields if isinstance(getattr(row, name), Now))

    statements = []
    for stamped, group in group_by(find_stamped, rows).items():
        names = tuple(name for name in fields if name not in stamped)
        sql = build_update(model, names, stamped, connection.vendor)
        statements += _make_statement(sql, model, group, ("pk", *names))
    return statements


def upsert_newer_statement(
    model: Model, rows: Sequence[Any], fields: Sequence[str], version: str, stamped: str
) -> list[Statement]:
    """Insert rows, and overwrite those that are there with an older version.

    Args:
        fields: the primary key first.
        version: the field that is compared.
        stamped: a field that gets the database's time when a row is overwritten.
    """
    sql = build_upsert(model, tuple(fields), version, stamped, connection.vendor)
    return _make_statement(sql, model, rows, fields)


def delete_statement(model: Model, keys: Sequence[Any]) -> list[Statement]:
    """Delete rows by their primary keys."""
    field = get_field(model, "pk")
    relation, key = json_relation(model, ("pk",), connection.vendor), quote_name(field.column)
    sql = f"DELETE FROM {table_name(model)} WHERE {key} IN (SELECT {key} FROM {relation})"
    return _make_statement(sql, model, [SimpleNamespace(**{field.attname: each}) for each in keys], ("pk",))


def _make_statement(sql: str, model: Model, rows: Sequence[Any], fields: Sequence[str]) -> list[Statement]:
    return [Statement(sql, json_parameter(model, rows, fields))] if rows else []


def execute(*statements: Statement) -> None:
    """Execute statements that change different rows: as one, where the database can."""
    if not statements:
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            sql = _combine(tuple(each.sql for each in statements))
            cursor.execute(sql, [each.parameter for each in statements])
        else:
            for each in statements:
                cursor.execute(each.sql, [each.parameter])
    for on_commit in {each.on_commit for each in statements if each.on_commit}:
        transaction.on_commit(on_commit)


def execute_atomically(*statements: Statement) -> None:
    """Execute all statements or none, also within a transaction.

    Raises:
        IntegrityError: none was executed, and a transaction around this one continues.
    """
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        # One statement is a transaction of its own: two round trips less.
        with commit_failpoints():
            execute(*statements)
        return
    with transaction.atomic():
        execute(*statements)


@functools.cache
def _combine(statements: tuple[str, ...]) -> str:
    *first, last = statements
    named = ", ".join(f"change_{number} AS ({each})" for number, each in enumerate(first))
    return f"WITH {named} {last}" if named else last


@functools.cache
def build_insert(model: Model, fields: tuple[str, ...], returning: str, vendor: str) -> str:
    columns = ", ".join(quote_name(get_field(model, name).column) for name in fields)
    relation = json_relation(model, fields, vendor)
    # Without WHERE, SQLite takes the ON of ON CONFLICT for that of a join.
    sql = f"INSERT INTO {table_name(model)} ({columns}) SELECT {columns} FROM {relation} WHERE TRUE"
    if returning:
        sql += f" ON CONFLICT DO NOTHING RETURNING {quote_name(get_field(model, returning).column)}"
    return sql


@functools.cache
def build_upsert(model: Model, fields: tuple[str, ...], version: str, stamped: str, vendor: str) -> str:
    key, *columns = (quote_name(get_field(model, name).column) for name in fields)
    changes = [f"{column} = excluded.{column}" for column in columns]
    changes.append(f"{quote_name(get_field(model, stamped).column)} = {NOW[vendor]}")
    newer = quote_name(get_field(model, version).column)
    return (
        f"{build_insert(model, fields, '', vendor)} ON CONFLICT ({key}) DO UPDATE SET {', '.join(changes)}"
        f" WHERE {table_name(model)}.{newer} < excluded.{newer}"
    )


@functools.cache
def build_update(model: Model, fields: tuple[str, ...], stamped: tuple[str, ...], vendor: str) -> str:
    columns = [quote_name(get_field(model, name).column) for name in fields]
    changes = [f"{column} = given.{column}" for column in columns]
    changes += [f"{quote_name(get_field(model, name).column)} = {NOW[vendor]}" for name in stamped]
    key = quote_name(get_field(model, "pk").column)
    return (
        f"UPDATE {table_name(model)} SET {', '.join(changes)} FROM {json_relation(model, ('pk', *fields), vendor)}"
        f" WHERE {table_name(model)}.{key} = given.{key}"
    )


def json_relation(model: Model, fields: Iterable[str], vendor: str) -> str:
    """The parameter as a table called `given`, with a column for each field."""
    columns = [get_field(model, name) for name in fields]
    if vendor == "postgresql":
        typed = ", ".join(f"{quote_name(field.column)} {field.db_type(connection)}" for field in columns)
        return f"json_to_recordset(%s::json) AS given({typed})"
    values = ", ".join(f"{extract_json(field)} AS {quote_name(field.column)}" for field in columns)
    return f"(SELECT {values} FROM json_each(%s)) AS given"


def extract_json(field: Any) -> str:
    """A column of a JSON row as Django stores it in SQLite."""
    value = f"json_extract(value, '$.{field.column}')"
    while field.is_relation:  # its key may be a relation itself
        field = field.target_field
    if isinstance(field, models.UUIDField):
        return f"replace({value}, '-', '')"
    if isinstance(field, models.DateTimeField):
        return f"replace(replace({value}, 'T', ' '), 'Z', '')"
    if isinstance(field, models.JSONField):
        return f"CASE WHEN {value} IS NOT NULL THEN json_quote({value}) END"
    return value


def json_parameter(model: Model, rows: Sequence[Any], fields: Iterable[str]) -> str:
    columns = [(get_field(model, name).column, get_field(model, name).attname) for name in fields]
    return encode_strictly(
        [{column: to_json(getattr(row, name)) for column, name in columns} for row in rows]
    )


def to_json(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def get_field(model: Model, name: str) -> Any:
    return model._meta.pk if name == "pk" else model._meta.get_field(name)


def table_name(model: Model) -> str:
    return quote_name(model._meta.db_table)


def quote_name(name: str) -> str:
    return connection.ops.quote_name(name)
