"""The paged lists of both sides, for a sweep or an audit that compares books."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

from compose.sandbox.fields import EPOCH, query_integer, query_time
from compose.sandbox.http import Answer, Request, Shop

MAX_LIMIT = 1000
MAX_CURSOR = 2**63 - 1


def page(
    shop: Shop,
    request: Request,
    table: Literal["authorizations", "shipments"],
    present: Callable[[sqlite3.Row], dict[str, Any]],
) -> Answer:
    """Rows in the order they were made, those after the cursor `after`, at most `limit` of them.

    `since` (ISO 8601) and `reference` narrow the list. `next` is the next page's cursor, null at the end.
    """
    after = query_integer(request.query, "after", 0, minimum=0, maximum=MAX_CURSOR)
    limit = query_integer(request.query, "limit", 100, minimum=1, maximum=MAX_LIMIT)
    where = "seq > ?"
    values: list[object] = [after]
    for name, condition, value in (
        ("since", "created_at >= ?", query_time(request.query, "since")),
        ("reference", "reference = ?", request.query.get("reference")),
    ):
        if name in request.query:
            where, values = f"{where} AND {condition}", [*values, value]
    rows = shop.store.rows(f"SELECT * FROM {table} WHERE {where} ORDER BY seq LIMIT ?", *values, limit + 1)
    more = len(rows) > limit
    rows = rows[:limit]
    return Answer(
        200, {"items": [present(row) for row in rows], "next": str(rows[-1]["seq"]) if more else None}
    )


def iso(microseconds: int) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC."""
    return (EPOCH + timedelta(microseconds=microseconds)).isoformat()
