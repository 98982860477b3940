"""`python -m docs.permissions_table`: writes docs/reference/permissions.md from the yaml file and the groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from celery_config.common.roles import Groups
from celery_config.common.services import PARTICIPANTS, SERVICES
from docs.generated import replace_part

PAGE = Path(__file__).resolve().parent / "reference" / "permissions.md"
TABLE = PAGE.with_suffix(".yaml")
ALL_PARTICIPANTS = "participants"
WORDS = {"see": "list, row"}


def read_tables() -> dict[str, Any]:
    """Return the yaml file, by service; among callers `participants` stands for each of them."""
    tables: dict[str, Any] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    for row in (row for table in tables.values() for row in table["api"].values()):
        if ALL_PARTICIPANTS in row.get("callers", ()):
            row["callers"] = [*PARTICIPANTS, *(each for each in row["callers"] if each != ALL_PARTICIPANTS)]
    return tables


def find_groups(service: str) -> Groups:
    package = SERVICES[service].settings_module.partition(".")[0]
    groups: Groups = import_module(f"{package}.groups").GROUPS
    return groups


def name_groups(people: str, groups: Groups) -> str:
    """The shipped groups that have what is needed; whom no permission stops needs no group."""
    needed = {each for each in people.split(" + ") if "." in each}
    return ", ".join(role for role in groups if needed and needed <= {*groups[role]}) or "—"


def format_people(people: str) -> str:
    """Permissions as code, words as they are."""
    return " and ".join(f"`{each}`" if "." in each else each for each in people.split(" + "))


def list_lines() -> Iterator[str]:
    for service, rows in read_tables().items():
        yield f"## {service.capitalize()}\n"
        groups = find_groups(service)
        yield from list_calls(rows["api"], groups)
        yield "\nOn the board, its admin's home, and in `/admin/board/PART/`, for all staff:\n"
        yield from list_parts(rows["board"])
        yield "\nIn its admin:\n"
        yield from list_pages(rows["admin"], groups)
        yield ""


def list_calls(calls: Mapping[str, Any], groups: Groups) -> Iterator[str]:
    yield "| call | people | groups | services |"
    yield "|---|---|---|---|"
    for call, row in calls.items():
        callers = ", ".join(row.get("callers", ())) or "—"
        people = row["people"]
        yield f"| `{call}` | {format_people(people)} | {name_groups(people, groups)} | {callers} |"


def list_parts(parts: Mapping[str, list[str]]) -> Iterator[str]:
    yield "| part | shows something for each of |"
    yield "|---|---|"
    for part, permissions in parts.items():
        yield f"| `{part}` | {', '.join(f'`{each}`' for each in permissions)} |"


def list_pages(models: Mapping[str, Any], groups: Groups) -> Iterator[str]:
    yield "| table | page or action | people | groups |"
    yield "|---|---|---|---|"
    for model, row in models.items():
        words = {**row, **row.get("actions", {})}
        words.pop("actions", None)
        by_people: dict[str, list[str]] = {}
        for word, people in words.items():
            by_people.setdefault(people, []).append(WORDS.get(word, word.replace("_", " ")))
        for people, pages in by_people.items():
            who = f"{format_people(people)} | {name_groups(people, groups)}"
            yield f"| `{model}` | {', '.join(pages)} | {who} |"


def page() -> str:
    """The page with its tables brought up to date."""
    return replace_part(PAGE, "python -m docs.permissions_table", "\n".join(list_lines()))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
