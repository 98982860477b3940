"""Rows as both sides of a copy see them: in the order of their keys, deleted ones as tombstones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

from django.db.models import QuerySet

from celery_config.contracts.base import encode
from celery_config.copies.models import Tombstone
from celery_config.copies.ranges import RowVersion, pick_newest
from celery_config.copies.registry import Copy, Publication

PAGE_ROWS = 5000
KEYS_PER_REQUEST = 500


class RowReader(Protocol):
    """Where entries are read from."""

    def after(self, key: str | None, upto: str | None, most: int) -> list[RowVersion]:
        """The first `most` entries beyond `key` (None: from the beginning) and up to `upto` (None: to the end)."""

    def of(self, keys: Collection[str]) -> dict[str, RowVersion]:
        """The entries with these keys, those that there are."""


class SourceReader:
    """What is published here, with these fields."""

    def __init__(self, publication: Publication, fields: Sequence[str]) -> None:
        self.key = publication.model._meta.pk
        live = publication.model._default_manager.values_list("pk", "version", "updated_at", *fields)
        buried = Tombstone.objects.filter(source=publication.name)
        self.live: QuerySet[Any, Any] = live
        self.buried: QuerySet[Any, Any] = buried.values_list("key", "version", "deleted_at")

    def after(self, key: str | None, upto: str | None, most: int) -> list[RowVersion]:
        # A key that is deleted or comes back in between is found at least once: tombstones stay, and are read last.
        live = filter_range(self.live, "pk", self.native(key), self.native(upto), most)
        buried = filter_range(self.buried, "key", key, upto, most)
        return sorted(pick_newest(living(live), tombs(buried)), key=by_key)[:most]

    def of(self, keys: Collection[str]) -> dict[str, RowVersion]:
        live = self.live.filter(pk__in=[self.native(key) for key in keys])
        buried = self.buried.filter(key__in=keys)
        return {entry.key: entry for entry in pick_newest(living(live), tombs(buried))}

    def native(self, key: str | None) -> Any:
        return None if key is None else self.key.to_python(key)  # type: ignore[union-attr]

    def count(self) -> int:
        return self.live.count() + self.buried.count()


class CopyReader:
    """A copy that is kept here."""

    def __init__(self, copy: Copy) -> None:
        self.key = copy.key
        names = ("pk", "version", "changed_at", "deleted", *copy.fields)
        self.rows: QuerySet[Any, Any] = copy.model.everything.values_list(*names)

    def after(self, key: str | None, upto: str | None, most: int) -> list[RowVersion]:
        first, last = (None if each is None else self.key.to_python(each) for each in (key, upto))
        return list(copied(filter_range(self.rows, "pk", first, last, most)))

    def of(self, keys: Collection[str]) -> dict[str, RowVersion]:
        found = self.rows.filter(pk__in=[self.key.to_python(key) for key in keys])
        return {entry.key: entry for entry in copied(found)}


def filter_range(query: QuerySet[Any, Any], key: str, after: Any, upto: Any, most: int) -> QuerySet[Any, Any]:
    bounds = {f"{key}__gt": after, f"{key}__lte": upto}
    return query.filter(**{name: value for name, value in bounds.items() if value is not None}).order_by(key)[
        :most
    ]


def living(rows: Iterable[Sequence[Any]]) -> Iterator[RowVersion]:
    for key, version, changed_at, *values in rows:
        yield RowVersion(str(key), version, changed_at, tuple(map(encode, values)))


def tombs(rows: Iterable[Sequence[Any]]) -> Iterator[RowVersion]:
    for key, version, deleted_at in rows:
        yield RowVersion(key, version, deleted_at, None)


def copied(rows: Iterable[Sequence[Any]]) -> Iterator[RowVersion]:
    for key, version, changed_at, deleted, *values in rows:
        yield RowVersion(str(key), version, changed_at, None if deleted else tuple(map(encode, values)))


def by_key(entry: RowVersion) -> str:
    return entry.key


def stream_rows(side: RowReader, after: str | None, upto: str | None) -> Iterator[RowVersion]:
    """All entries of a range, a page in memory at a time."""
    while page := side.after(after, upto, PAGE_ROWS):
        yield from page
        if len(page) < PAGE_ROWS:
            return
        after = page[-1].key
