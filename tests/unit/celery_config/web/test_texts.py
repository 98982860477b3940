"""Texts on pages have no markdown: a page shows a backtick as it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
TO_PROGRAMMERS = {
    # descriptions in the schemas of the API and the events, which are markdown, and answers to programs
    "api.py", "asyncapi.py", "schema.py", "feed.py", "pagination.py", "known_flows.py", "errors.py", "inputs.py",
    # errors at the start of a process
    "checks.py", "subscriptions.py", "choreography.py", "handlers.py", "dsl.py",
    # a pattern
    "email_address.py",
}  # fmt: skip
"""Modules whose texts are on no page."""
SOURCES = [
    path
    for package in ("celery_config", "order_project", "payment_app", "inventory_app", "shipment_app")
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.name not in TO_PROGRAMMERS
    and not {"management", "testing", "settings", "config", "checks"} & {*path.parts}
]


def list_texts(tree: ast.AST) -> Iterator[str]:
    """Yield the strings that are no docstrings."""
    docs = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    for each in ast.walk(tree):
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and id(each) not in docs:
            yield each.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_has_a_backtick(path: Path) -> None:
    assert [text for text in list_texts(ast.parse(path.read_text())) if "`" in text] == []


def test_no_template_has_one_outside_of_its_comments() -> None:
    shown = {
        path: [line for line in path.read_text().splitlines() if "`" in line.partition("{#")[0]]
        for package in ("celery_config", "order_project")
        for path in (ROOT / package).rglob("*.html")
    }
    assert {path: lines for path, lines in shown.items() if lines} == {}
