"""A source in memory that answers like another service's API and counts the bytes that the API would send."""

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


class RowsInMemory:
    """Rows in the order of their keys, as a `RowReader`."""

    def __init__(self) -> None:
        self.rows: dict[str, RowVersion] = {}

    def read_range(self, after: str | None, upto: str | None, most: int) -> list[RowVersion]:
        keys = [key for key in sorted(self.rows) if key > (after or "") and (upto is None or key <= upto)]
        return self.select(keys[:most])

    def select(self, keys: Collection[str]) -> list[RowVersion]:
        return [self.rows[key] for key in keys if key in self.rows]

    def read_keys(self, keys: Collection[str]) -> dict[str, RowVersion]:
        return {row.key: row for row in self.select(keys)}


class SourceInMemory(SourceClient):
    """`before` is called with its number before each answer: it is what happens at the source in between."""

    def __init__(self, copy: Copy) -> None:
        self.copy = copy
        self.memory = RowsInMemory()
        self.sent = 0
        self.asked = 0
        self.before: Callable[[int], None] = lambda number: None

    def put(self, key: str, version: int, values: tuple[Any, ...] | None) -> RowVersion:
        row = self.memory.rows[key] = RowVersion(key, version, AT, values)
        return row

    def post(self, what: str, kind: Any, **body: Any) -> Any:
        self.asked += 1
        self.before(self.asked)
        answer: Any
        if what == "pieces":
            answer = [
                split_by_size(stream_rows(self.memory, **each), each["upto"], body["size"], body["most"])
                for each in body["ranges"]
            ]
        elif "keys" in body:
            answer = self.memory.select(body["keys"])
        else:
            answer = self.memory.read_range(**body["range"], most=body["most"])
        sent = encoder.encode(answer)
        self.sent += len(sent)
        return msgspec.json.decode(sent, type=kind)

    def count_rows(self) -> int:
        return len(self.memory.rows)
