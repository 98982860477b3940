"""What holds of every page that an operator reads: plain words, and no statement for each row that it shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from html import unescape
from typing import Any

from django.contrib import admin
from django.core.cache import cache
from django.db import connection, models, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.service.forms import ensure_row

NOT_PLAIN = re.compile(
    r"\b(?:barriers?|tombstones?|intents?|outbox|inbox)\b|\b[a-z_]\w+(?:\.[a-z_]\w+){2,}\b", re.IGNORECASE
)
"""Words of the code, and dotted paths. A task has one dot in its name."""
VALUES = re.compile(r"'[^']*'|\b\d+\b")
UNSEEN = re.compile(r"<(script|style|template|head)\b.*?</\1>|<[^>]*>", re.DOTALL)


def read_text(html: str) -> str:
    """What people see of a page."""
    return " ".join(unescape(UNSEEN.sub(" ", html)).split())


def find_code_words(client: Client, model: type[models.Model]) -> list[str]:
    """The words of the code that the list of a model, or the page of a row, shows."""
    name = f"{model._meta.app_label}_{model._meta.model_name}"
    has_page = f"{name}_change" in {pattern.name for pattern in admin.site._registry[model].get_urls()}
    with transaction.atomic():  # the row is made up, and would not stand a closer look
        row = ensure_row(model)
        pages = [reverse(f"admin:{name}_changelist")]
        pages += [reverse(f"admin:{name}_change", args=[row.pk])] if has_page else []
        texts = [read_text(client.get(page).content.decode()) for page in pages]
        transaction.set_rollback(True)
    return [word for text in texts for word in NOT_PLAIN.findall(text)]


def count_statements(client: Client, url: str) -> Counter[str]:
    """How often each statement is sent for a page, whatever its values."""
    client.get(url)  # the session and content types are read but once
    cache.clear()  # the sidebar's badges are counted in each of the two
    with CaptureQueriesContext(connection) as asked:
        assert client.get(url).status_code == 200
    return Counter(VALUES.sub("?", each["sql"]) for each in asked.captured_queries)


def assert_asks_no_more(client: Client, url: str, add_rows: Callable[[], Any]) -> int:
    """A page asks as much of the database for many rows as for few; return how many statements."""
    few = count_statements(client, url)
    add_rows()
    many = count_statements(client, url)
    assert {each: times for each, times in many.items() if times > few[each]} == {}
    return few.total()
