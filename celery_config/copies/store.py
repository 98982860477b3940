"""Bringing a copy up to what its source says: many rows with one statement, in whatever order they come."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from django.db import connection, models, transaction

from celery_config.copies.ranges import RowVersion, pick_newest
from celery_config.copies.registry import VERSION, Copy
from celery_config.db import bulk

ROW_FIELDS = ("version", "deleted", "changed_at")


def apply_rows(copy: Copy, entries: Iterable[RowVersion]) -> None:
    """Write these rows, each unless a newer version is there."""
    made = [make_row(copy, entry) for entry in sorted(pick_newest(entries), key=lambda entry: entry.key)]
    bulk.execute(
        *bulk.upsert_newer_statement(
            copy.model, made, ("pk", *ROW_FIELDS, *copy.fields), VERSION, "applied_at"
        )
    )


@transaction.atomic
def replace_rows(copy: Copy, pairs: Iterable[tuple[RowVersion | None, RowVersion | None]]) -> None:
    """Put what the source has in the place of what we had, unless ours has moved on since it was read.

    Args:
        pairs: ours and theirs of each key; ours must have been read first, so that what the source then does not have
            it will never announce.
    """
    pairs = list(pairs)
    delete_unchanged(copy, [ours for ours, _ in pairs if ours])
    apply_rows(copy, [theirs for _, theirs in pairs if theirs])


def delete_unchanged(copy: Copy, seen: Sequence[RowVersion]) -> None:
    """Delete rows that are still at the version that was seen. A part of a transaction: nobody sees them missing."""
    if seen:
        given = [plain_row(copy, entry.key, version=entry.version) for entry in seen]
        with connection.cursor() as cursor:
            cursor.execute(
                forgetting(copy.model, connection.vendor),
                [bulk.json_parameter(copy.model, given, ("pk", VERSION))],
            )


def read_versions(copy: Copy, keys: Iterable[str]) -> dict[str, int]:
    """The versions that we have of these rows."""
    given = [plain_row(copy, key) for key in keys]
    with connection.cursor() as cursor:
        cursor.execute(
            asking(copy.model, connection.vendor), [bulk.json_parameter(copy.model, given, ("pk",))]
        )
        return {str(copy.key.to_python(key)): version for key, version in cursor.fetchall()}


@functools.cache
def forgetting(model: type[models.Model], vendor: str) -> str:
    pair = ", ".join(bulk.quote_name(bulk.get_field(model, name).column) for name in ("pk", VERSION))
    given = bulk.json_relation(model, ("pk", VERSION), vendor)
    return f"DELETE FROM {bulk.table_name(model)} WHERE ({pair}) IN (SELECT {pair} FROM {given})"


@functools.cache
def asking(model: type[models.Model], vendor: str) -> str:
    key = bulk.quote_name(bulk.get_field(model, "pk").column)
    given = bulk.json_relation(model, ("pk",), vendor)
    return f"SELECT {key}, version FROM {bulk.table_name(model)} WHERE {key} IN (SELECT {key} FROM {given})"


def make_row(copy: Copy, entry: RowVersion) -> SimpleNamespace:
    values = (
        tombstone_values(copy) if entry.values is None else dict(zip(copy.fields, entry.values, strict=True))
    )
    return plain_row(
        copy,
        entry.key,
        version=entry.version,
        deleted=entry.values is None,
        changed_at=entry.changed_at,
        **values,
    )


def plain_row(copy: Copy, key: str, **values: Any) -> SimpleNamespace:
    # Not instances of the model, which cost as much as all the rest.
    return SimpleNamespace(**{copy.key.attname: key}, **values)


def tombstone_values(copy: Copy) -> Mapping[str, Any]:
    """What is left of a deleted row."""
    return {name: blank_value(copy.model._meta.get_field(name)) for name in copy.fields}


def blank_value(field: Any) -> Any:
    if field.null:
        return None
    if isinstance(field, models.JSONField):
        return {}
    return False if isinstance(field, models.BooleanField) else ("" if field.empty_strings_allowed else 0)
