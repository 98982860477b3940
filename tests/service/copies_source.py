"""A source in memory, which answers as another service's API would; and counts what that would send."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

import msgspec

from celery_config.copies.ranges import RowVersion, split_by_size
from celery_config.copies.readers import stream_rows
from celery_config.copies.registry import Copy
from celery_config.copies.source_client import SourceClient

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
encoder = msgspec.json.Encoder()


class Shelf:
    """Entries in the order of their keys, as a `Side`."""

    def __init__(self) -> None:
        self.entries: dict[str, RowVersion] = {}

    def after(self, key: str | None, upto: str | None, most: int) -> list[RowVersion]:
        found = [
            self.entries[each]
            for each in sorted(self.entries)
            if (key is None or each > key) and (upto is None or each <= upto)
        ]
        return found[:most]

    def of(self, keys: Collection[str]) -> dict[str, RowVersion]:
        return {key: self.entries[key] for key in keys if key in self.entries}


class SourceInMemory(SourceClient):
    """`before` is called before each answer: what happens at the source in between."""

    def __init__(self, copy: Copy) -> None:
        self.copy = copy
        self.shelf = Shelf()
        self.sent = 0
        self.asked = 0
        self.before: Callable[[int], None] = lambda number: None
        self.changed: list[dict[str, Any]] = []

    def put(self, key: str, version: int, values: tuple[Any, ...] | None) -> RowVersion:
        entry = self.shelf.entries[key] = RowVersion(key, version, AT, values)
        return entry

    def ask(self, what: str, kind: Any, **body: Any) -> Any:
        self.asked += 1
        self.before(self.asked)
        answer: Any
        if what == "pieces":
            answer = [
                split_by_size(stream_rows(self.shelf, **each), each["upto"], body["size"], body["most"])
                for each in body["ranges"]
            ]
        elif "keys" in body:
            answer = list(self.shelf.of(body["keys"]).values())
        else:
            answer = self.shelf.after(body["range"]["after"], body["range"]["upto"], body["most"])
        sent = encoder.encode(answer)
        self.sent += len(sent)
        return msgspec.json.decode(sent, type=kind)

    def count(self) -> int:
        return len(self.shelf.entries)
