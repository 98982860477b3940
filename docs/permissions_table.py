"""`python -m docs.permissions_table`: writes docs/reference/permissions.md from the yaml file that the tests try."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from docs.generated import replace_part

PAGE = Path(__file__).resolve().parent / "reference" / "permissions.md"
TABLE = PAGE.with_suffix(".yaml")
WORDS = {"see": "list, row"}


def format_people(people: str) -> str:
    """Permissions as code, words as they are."""
    return " and ".join(f"`{each}`" if "." in each else each for each in people.split(" + "))


def list_lines() -> Iterator[str]:
    for service, rows in yaml.safe_load(TABLE.read_text(encoding="utf-8")).items():
        yield f"## {service.capitalize()}\n"
        yield from list_calls(rows["api"])
        yield "\nOn the board, its admin's home, and in `/admin/board/PART/`, for all staff:\n"
        yield from list_parts(rows["board"])
        yield "\nIn its admin:\n"
        yield from list_pages(rows["admin"])
        yield ""


def list_calls(calls: Mapping[str, Any]) -> Iterator[str]:
    yield "| call | people | services |"
    yield "|---|---|---|"
    for call, row in calls.items():
        callers = ", ".join(row.get("callers", ())) or "—"
        yield f"| `{call}` | {format_people(row['people'])} | {callers} |"


def list_parts(parts: Mapping[str, list[str]]) -> Iterator[str]:
    yield "| part | shows something for each of |"
    yield "|---|---|"
    for part, permissions in parts.items():
        yield f"| `{part}` | {', '.join(f'`{each}`' for each in permissions)} |"


def list_pages(models: Mapping[str, Any]) -> Iterator[str]:
    yield "| table | page or action | people |"
    yield "|---|---|---|"
    for model, row in models.items():
        words = {**row, **row.get("actions", {})}
        words.pop("actions", None)
        by_people: dict[str, list[str]] = {}
        for word, people in words.items():
            by_people.setdefault(people, []).append(WORDS.get(word, word.replace("_", " ")))
        for people, pages in by_people.items():
            yield f"| `{model}` | {', '.join(pages)} | {format_people(people)} |"


def page() -> str:
    """The page with its tables brought up to date."""
    return replace_part(PAGE, "python -m docs.permissions_table", "\n".join(list_lines()))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
