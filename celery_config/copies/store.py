"""The store of copies: a row is overwritten only by a newer version, so events may come in any order and repeatedly."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

from django.db import connection, models, transaction

from celery_config.copies.ranges import RowVersion, pick_newest
from celery_config.copies.registry import VERSION, Copy
from celery_config.db import bulk

ROW_FIELDS = ("version", "deleted", "changed_at")


def apply_rows(copy: Copy, rows: Iterable[RowVersion]) -> None:
    """Write each of these rows unless the copy has the same or a newer version."""
    made = [make_row(copy, row) for row in sorted(pick_newest(rows), key=attrgetter("key"))]
    fields = ("pk", *ROW_FIELDS, *copy.fields)
    bulk.execute(*bulk.upsert_newer_statement(copy.model, made, fields, VERSION, "applied_at"))


@transaction.atomic
def replace_rows(copy: Copy, pairs: Iterable[tuple[RowVersion | None, RowVersion | None]]) -> None:
    """Replace rows of the copy by those of the source, except rows that have changed since they were read.

    Both statements run in one transaction, so no reader misses a row.

    Args:
        pairs: our row and the source's row of each key. Ours must have been read first: a row that the source did not
            have after that is a row that it will never announce.
    """
    pairs = list(pairs)
    if seen := [key_and(copy, our.key, version=our.version) for our, _ in pairs if our]:
        match_rows("DELETE", copy, seen, ("pk", VERSION))
    apply_rows(copy, [their for _, their in pairs if their])


def lock_epoch(copy: Copy) -> str:
    """The epoch of the copy; it does not change before the transaction ends."""
    share = " FOR SHARE" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT epoch FROM copies_copystate WHERE name = %s{share}", [copy.name])
        found = cursor.fetchone()
    return str(found[0]) if found else ""


def read_versions(copy: Copy, keys: Iterable[str]) -> dict[str, int]:
    """The versions that the copy has of these rows."""
    select = f"SELECT {bulk.quote_name(bulk.get_field(copy.model, 'pk').column)}, version"
    found = match_rows(select, copy, [key_and(copy, key) for key in keys], ("pk",))
    return {str(copy.key.to_python(key)): version for key, version in found}


def match_rows(action: str, copy: Copy, rows: Sequence[Any], fields: tuple[str, ...]) -> Sequence[Any]:
    """Delete or select the copy's rows that have the same values in these fields as one of `rows`."""
    with connection.cursor() as cursor:
        statement = build_statement(action, copy.model, fields, connection.vendor)
        cursor.execute(statement, [bulk.json_parameter(copy.model, rows, fields)])
        return cursor.fetchall() if cursor.description else ()


@functools.cache
def build_statement(action: str, model: type[models.Model], fields: tuple[str, ...], vendor: str) -> str:
    columns = ", ".join(bulk.quote_name(bulk.get_field(model, name).column) for name in fields)
    given = bulk.json_relation(model, fields, vendor)
    return f"{action} FROM {bulk.table_name(model)} WHERE ({columns}) IN (SELECT {columns} FROM {given})"


def make_row(copy: Copy, row: RowVersion) -> SimpleNamespace:
    deleted = row.values is None
    values = tombstone_values(copy) if row.values is None else dict(zip(copy.fields, row.values, strict=True))
    return key_and(copy, row.key, version=row.version, deleted=deleted, changed_at=row.changed_at, **values)


def key_and(copy: Copy, key: str, **values: Any) -> SimpleNamespace:
    # An instance of the model would cost as much as everything else together.
    return SimpleNamespace(**{copy.key.attname: key}, **values)


def tombstone_values(copy: Copy) -> Mapping[str, Any]:
    """What a deleted row has in its fields."""
    return {name: blank_value(copy.model._meta.get_field(name)) for name in copy.fields}


def blank_value(field: Any) -> Any:
    if field.null:
        return None
    if isinstance(field, models.JSONField):
        return {}
    return False if isinstance(field, models.BooleanField) else ("" if field.empty_strings_allowed else 0)
