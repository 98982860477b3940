"""Readers of rows: a source and its copy are read alike, in the order of their keys, deleted rows as tombstones."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import starmap
from operator import attrgetter
from typing import Any, Protocol

from django.db.models import QuerySet

from celery_config.contracts.base import encode
from celery_config.copies.models import Tombstone
from celery_config.copies.ranges import RowVersion, pick_newest
from celery_config.copies.registry import Copy, Publication, list_later_parts

PAGE_ROWS = 5000
KEYS_PER_REQUEST = 500


class RowReader(Protocol):
    """Where rows are read from."""

    def read_range(self, after: str | None, upto: str | None, most: int) -> list[RowVersion]:
        """The first `most` rows with keys greater than `after` and up to `upto`; None means no bound."""

    def read_keys(self, keys: Collection[str]) -> dict[str, RowVersion]:
        """The rows with these keys, as far as they exist."""


class SourceReader:
    """Reads these fields of a table that this service publishes, as a copy of any release has them.

    Args:
        known: the later parts of values that the copy's release knows. It has nothing in the others, and no copy has a
            later part that is empty.
    """

    def __init__(self, publication: Publication, fields: Sequence[str], known: Collection[str] = ()) -> None:
        self.later = list_later_parts(publication.changed)
        self.known = self.later & set(known)
        self.key: Any = publication.model._meta.pk
        live = publication.model._default_manager.values_list("pk", "version", "updated_at", *fields)
        self.live: QuerySet[Any, Any] = live
        deleted = Tombstone.objects.filter(source=publication.name)
        self.deleted: QuerySet[Any, Any] = deleted.values_list("key", "version", "deleted_at")

    def read_range(self, after: str | None, upto: str | None, most: int) -> list[RowVersion]:
        # A key that is deleted or inserted again between the two reads is found in at least one of them: tombstones
        # stay, and are read last.
        live = filter_range(self.live, "pk", parse_key(self.key, after), parse_key(self.key, upto), most)
        deleted = filter_range(self.deleted, "key", after, upto, most)
        rows = pick_newest(starmap(self.make_live, live), starmap(make_tombstone, deleted))
        return sorted(rows, key=attrgetter("key"))[:most]

    def read_keys(self, keys: Collection[str]) -> dict[str, RowVersion]:
        live = self.live.filter(pk__in=[parse_key(self.key, key) for key in keys])
        deleted = self.deleted.filter(key__in=keys)
        return {
            row.key: row
            for row in pick_newest(starmap(self.make_live, live), starmap(make_tombstone, deleted))
        }

    def make_live(self, key: Any, version: int, changed_at: Any, *values: Any) -> RowVersion:
        return make_live(key, version, changed_at, *map(self.select_parts, values))

    def select_parts(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            name: part
            for name, part in value.items()
            if name not in self.later or (part and name in self.known)
        }

    def count_rows(self) -> int:
        return self.live.count() + self.deleted.count()


class CopyReader:
    """Reads a copy that this service keeps."""

    def __init__(self, copy: Copy) -> None:
        self.key = copy.key
        names = ("pk", "version", "changed_at", "deleted", *copy.fields)
        self.rows: QuerySet[Any, Any] = copy.model.everything.values_list(*names)

    def read_range(self, after: str | None, upto: str | None, most: int) -> list[RowVersion]:
        first, last = parse_key(self.key, after), parse_key(self.key, upto)
        return list(starmap(make_copied, filter_range(self.rows, "pk", first, last, most)))

    def read_keys(self, keys: Collection[str]) -> dict[str, RowVersion]:
        rows = self.rows.filter(pk__in=[parse_key(self.key, key) for key in keys])
        return {row.key: row for row in starmap(make_copied, rows)}


def parse_key(field: Any, key: str | None) -> Any:
    return None if key is None else field.to_python(key)


def filter_range(query: QuerySet[Any, Any], key: str, after: Any, upto: Any, most: int) -> QuerySet[Any, Any]:
    bounds = {f"{key}__gt": after, f"{key}__lte": upto}
    found = query.filter(**{name: bound for name, bound in bounds.items() if bound is not None})
    return found.order_by(key)[:most]


def make_live(key: Any, version: int, changed_at: Any, *values: Any) -> RowVersion:
    return RowVersion(str(key), version, changed_at, tuple(map(encode, values)))


def make_tombstone(key: Any, version: int, deleted_at: Any) -> RowVersion:
    return RowVersion(str(key), version, deleted_at, None)


def make_copied(key: Any, version: int, changed_at: Any, deleted: bool, *values: Any) -> RowVersion:
    if deleted:
        return make_tombstone(key, version, changed_at)
    return make_live(key, version, changed_at, *values)


def stream_rows(
    reader: RowReader, after: str | None, upto: str | None, page_rows: int = PAGE_ROWS
) -> Iterator[RowVersion]:
    """All rows of a range, with one page of them in memory at a time."""
    while page := reader.read_range(after, upto, page_rows):
        yield from page
        if len(page) < page_rows:
            return
        after = page[-1].key
