"""What holds of every list in an admin: the same few statements for any number of rows, each helped by an index."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

MOST_STATEMENTS = 8
# As many rows as there are accounts in the books, or staff: sorted in memory.
SHORT = ("payment_account",)
OF_STAFF = ("auth_",)
WHOLE_SORT = re.compile(r"\s*(-> +)?Sort +\(")


def lists(*apps: str) -> list[str]:
    """`app_model` of each list in the admin; of these apps only, if any is named."""
    models = [model._meta for model in admin.site._registry]
    return [f"{m.app_label}_{m.model_name}" for m in models if not apps or m.app_label in apps]


def opened(client: Client, page: str, **query: str) -> tuple[str, list[str]]:
    """The list's HTML, and the statements that made it."""
    url = reverse(f"admin:{page}_changelist")
    client.get(url)  # the session and content types are read but once
    with CaptureQueriesContext(connection) as asked:
        answer = client.get(url, query)
    assert answer.status_code == 200, page
    return answer.content.decode(), [q["sql"] for q in asked.captured_queries]


def assert_reads_little(client: Client, page: str, **query: str) -> None:
    """No statement per row, none over the whole table, not even to count it, and no sorting of more than a page."""
    _, statements = opened(client, page, **query)
    assert len(statements) <= MOST_STATEMENTS, statements
    counts = [s for s in statements if s.startswith("SELECT COUNT(*)") and "LIMIT" not in s]
    assert not counts or page.startswith(OF_STAFF), counts
    assert not [s for s in statements if "SELECT DISTINCT" in s]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        for statement in statements:
            plan = plan_of(cursor, statement) if "ORDER BY" in statement and page not in SHORT else []
            assert not [line for line in plan if WHOLE_SORT.match(line)], (statement, plan)
        cursor.execute("RESET enable_seqscan; RESET enable_sort")


def plan_of(cursor: Any, statement: str) -> list[str]:
    cursor.execute(f"EXPLAIN {statement}")
    return [line for (line,) in cursor.fetchall()]


def assert_finds_by_index(client: Client, page: str, wanted: str) -> None:
    """A search for an id compares ids: as texts (`"id"::text`) they have no index."""
    _, statements = opened(client, page, q=wanted)
    assert not [s for s in statements if "::text" in s or "UPPER(" in s], statements


def save_form(client: Client, address: str, given: Mapping[str, Any], *, made_from: str | None = None) -> Any:
    """Save the form of a row as the page is now, or as it was when it said `made_from`."""
    return client.post(address, {**given, "made_from": made_from or open_form(client, address)})


def open_form(client: Client, address: str) -> str:
    """Open the form of a row; return what it says of the values that it shows."""
    return str(client.get(address).context["adminform"].form.initial.get("made_from", ""))
