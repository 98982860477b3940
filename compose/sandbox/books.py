"""The books of both sides: one kind of entry each, with an id, a reference and a state that moves on once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from compose.sandbox.bodies import PageQuery, read
from compose.sandbox.http import Answer, NotFound, Refused, Request, Shop
from compose.sandbox.store import now

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Book:
    """All entries of one kind.

    Args:
        table: its table in the store.
        entry: what one entry is called in errors.
        open_state: the state of a new entry, in which alone it may be changed.
        present: makes the JSON object of an entry.
    """

    table: str
    entry: str
    open_state: str
    present: Callable[[sqlite3.Row], dict[str, Any]]

    def add(self, shop: Shop, identity: str, **columns: object) -> Answer:
        """Write a new entry and answer with it."""
        values = {"id": identity, "created_at": now(), "state": self.open_state, **columns}
        marks = ", ".join("?" * len(values))
        shop.store.run(f"INSERT INTO {self.table} ({', '.join(values)}) VALUES ({marks})", *values.values())
        return Answer(201, self.present(self.find(shop, identity)))

    def find(self, shop: Shop, identity: str) -> sqlite3.Row:
        """Return an entry.

        Raises:
            NotFound: there is none.
        """
        row = shop.store.row(f"SELECT * FROM {self.table} WHERE id = ?", identity)
        if row is None:
            raise NotFound("not_found", f"no {self.entry} {identity[:80]}")
        return row

    def find_open(self, shop: Shop, identity: str) -> sqlite3.Row:
        """Return an entry that may still be changed.

        Raises:
            NotFound: there is none.
            Refused: it was changed already.
        """
        row = self.find(shop, identity)
        if row["state"] != self.open_state:
            raise Refused(f"already_{row['state']}", f"{self.entry} {identity} is already {row['state']}")
        return row

    def change(self, shop: Shop, identity: str, **columns: object) -> Answer:
        """Change columns of an entry and answer with it."""
        assignments = ", ".join(f"{name} = ?" for name in columns)
        shop.store.run(f"UPDATE {self.table} SET {assignments} WHERE id = ?", *columns.values(), identity)
        return Answer(200, self.present(self.find(shop, identity)))

    def retrieve(self, shop: Shop, request: Request) -> Answer:
        """GET /{id}."""
        return Answer(200, self.present(self.find(shop, request.ids["id"])))

    def page(self, shop: Shop, request: Request) -> Answer:
        """GET ?after=&limit=&since=&reference=: entries in the order they were made, for a comparison of books.

        Those after the cursor `after`, at most `limit` of them; `since` (ISO 8601) and `reference` narrow the list.
        `next` is the next page's cursor, null at the end.
        """
        query = read(request.query, PageQuery, strict=False)
        where = "seq > ?"
        values: list[object] = [query.after]
        if query.since is not None:
            where += " AND created_at >= ?"
            values.append((query.since - EPOCH) // timedelta(microseconds=1))
        if query.reference is not None:
            where += " AND reference = ?"
            values.append(query.reference)
        sql = f"SELECT * FROM {self.table} WHERE {where} ORDER BY seq LIMIT ?"
        found = shop.store.rows(sql, *values, query.limit + 1)
        rows = found[: query.limit]
        following = str(rows[-1]["seq"]) if len(found) > len(rows) else None
        return Answer(200, {"items": [self.present(row) for row in rows], "next": following})


def iso(microseconds: int) -> str:
    """Return microseconds since 1970 as ISO 8601 in UTC."""
    return (EPOCH + timedelta(microseconds=microseconds)).isoformat()
