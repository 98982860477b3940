"""All rows of a service's database as one text, to search for data that must not be there."""

from __future__ import annotations

from typing import Any

from django.db import connection


def everything() -> str:
    """All rows of all tables as text."""
    with connection.cursor() as cursor:
        texts = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            texts += [f"{table}: {row}" for row in cursor.fetchall()]
    return "\n".join(texts)


def told(*words: str) -> list[str]:
    """The rows that contain one of the words."""
    return [row for row in everything().splitlines() if any(word in row for word in words)]


def counts(reply: dict[str, Any]) -> dict[str, int]:
    """The numbers of a receipt: rows by table."""
    return {each["table"]: each["rows"] for each in reply["rows"]}
