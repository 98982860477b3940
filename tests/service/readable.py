"""What holds of every page that an operator reads: plain words, and no statement for each row that it shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from html import unescape
from typing import Any

from django.core.cache import cache
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse

from tests.service.forms import ensure_row

NOT_PLAIN = re.compile(
    r"\b(?:barriers?|tombstones?|intents?|outbox|inbox)\b|\b[a-z_]\w+(?:\.[a-z_]\w+){2,}\b", re.IGNORECASE
)
"""Words of the code, and dotted paths. A task has one dot in its name."""
UNSEEN = re.compile(r"<(script|style|template|head)\b.*?</\1>|<[^>]*>", re.DOTALL)


def read_text(html: str) -> str:
    """What people see of a page."""
    return " ".join(unescape(UNSEEN.sub(" ", html)).split())


def find_code_words(client: Client, model: type[models.Model]) -> list[str]:
    """The words of the code that the list of a model, or the page of a row, shows."""
    row, base = ensure_row(model), f"admin:{model._meta.app_label}_{model._meta.model_name}"
    pages = [reverse(f"{base}_changelist")]
    with suppress(NoReverseMatch):  # some have one page alone
        pages.append(reverse(f"{base}_change", args=[row.pk]))
    return [
        word for page in pages for word in NOT_PLAIN.findall(read_text(client.get(page).content.decode()))
    ]


def count_statements(client: Client, url: str) -> int:
    client.get(url)  # the session and content types are read but once
    cache.clear()  # the sidebar's badges are counted in each of the two
    with CaptureQueriesContext(connection) as asked:
        assert client.get(url).status_code == 200
    return len(asked)


def assert_asks_no_more(client: Client, url: str, add_rows: Callable[[], Any]) -> int:
    """A page asks as much of the database for many rows as for few; return how many statements."""
    few = count_statements(client, url)
    add_rows()
    assert count_statements(client, url) == few
    return few
