"""What a page or a client reads of dead letters: the groups, and one letter whole with its faulty field marked.

What no contract of this release knows, or marks as personal, is hidden until somebody asks for it with a reason;
payment tokens are hidden always.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min

from celery_config.contracts.privacy import (
    HIDDEN,
    SECRET_FIELDS,
    cut_tokens,
    hide_key,
    hide_name,
    hide_quoted,
    may_show,
    pass_name_on,
)
from celery_config.saga.models import DeadLetter, LetterGroup

MOST_GROUPS, MOST_COUNTED = 100, 10_000
"""Groups that are shown, and those that are counted: those who may send messages can make any number of faults."""
MOST_FIELDS, LONGEST_PATH = 1000, 200
"""Of a body that is shown. A key above many values is written for each of them."""
MISSING = "missing"
PATH = re.compile(r"\x60\$([^\x60]*)\x60")
LACKS = re.compile(r"missing required field \x60([^\x60]+)\x60")
NUMBERED = re.compile(r"\[\d+\]")
PARTS = ("args", "message", "embed")
"""Of the body of a task's message."""
NAMES = ("task", "task_id", "queue", "step", "operation")
"""Of a letter's columns: those that its sender wrote."""


@dataclass(frozen=True)
class Group:
    """Open letters with one task and one fault."""

    fingerprint: str
    task: str
    fault: str
    count: int
    first_at: datetime
    last_at: datetime
    release: str
    """That ran when the first letter of the group came; empty: not known."""


@dataclass(frozen=True)
class BodyField:
    """A field of a letter's body."""

    path: str
    value: str
    is_faulty: bool
    is_hidden: bool


def read_groups(most: int = MOST_GROUPS, *, fingerprint: str = "") -> list[Group]:
    """Return so many groups with open letters, the largest first, with two queries.

    Args:
        fingerprint: of the only group that is wanted.
    """
    rows = DeadLetter.objects.filter(dealt_with_at__isnull=True)
    counted = list(
        (rows.filter(fingerprint=fingerprint) if fingerprint else rows)
        .order_by()
        .values("fingerprint")
        .annotate(count=Count("pk"), first_at=Min("received_at"), last_at=Max("received_at"))[:MOST_COUNTED]
    )
    # Not by the database: it would sort, where an index gives the groups one by one.
    counted = sorted(counted, key=lambda row: (-row["count"], row["fingerprint"]))[:most]
    known = LetterGroup.objects.in_bulk([row["fingerprint"] for row in counted])
    nothing = LetterGroup()
    return [
        Group(
            task=(group := known.get(row["fingerprint"], nothing)).task,
            fault=group.fault, release=group.release, **row,
        )
        for row in counted
    ]  # fmt: skip


def show_fault(letter: DeadLetter) -> str:
    """Return what is wrong with a letter, as everybody who sees letters reads it."""
    return hide_quoted(letter.fault, list_names(letter).values())


def list_names(letter: DeadLetter) -> dict[str, str]:
    """Return the names in a letter's columns, as everybody who sees letters reads them."""
    return {name: hide_name(getattr(letter, name)) for name in NAMES}


def read_body(letter: DeadLetter, *, shows_personal: bool = False) -> list[BodyField]:
    """Return a letter's body as a table, with the field marked that its fault names.

    Args:
        shows_personal: whether everything but payment tokens is shown, also the headers and what the fault quotes.
    """
    if not letter.body:
        return []
    try:
        parts = json.loads(letter.body)
    except (ValueError, RecursionError):
        return [
            BodyField("", cut_tokens(letter.body) if shows_personal else HIDDEN, True, not shows_personal)
        ]
    named = dict(zip(PARTS, parts, strict=False)) if isinstance(parts, list) else {"": parts}
    where, lacking = find_faulty_path(letter.fault)
    if shows_personal:
        told = {name: getattr(letter, name) for name in ("fault", *NAMES)}
        named |= {"letter": told | {"headers": letter.headers}}
    fields: list[BodyField] = []
    for path, shown_path, name, value in walk(named):
        if len(fields) == MOST_FIELDS:
            fields.append(BodyField("…", "there is more", False, False))
            break
        shown = name not in SECRET_FIELDS if shows_personal else may_show(name, value)
        text = value if isinstance(value, str) else json.dumps(value)
        fields.append(
            BodyField(
                replace_halves(path if shows_personal else shown_path),
                replace_halves(cut_tokens(text)) if shown else HIDDEN,
                fits(path, where),
                not shown,
            )
        )
    if lacking:
        fields.append(BodyField(f"{where.lstrip('.')}.{lacking}".lstrip("."), MISSING, True, False))
    return fields


def replace_halves(text: str) -> str:
    """Return a text that any answer can hold: JSON may name half a character, which no encoding writes."""
    return text.encode(errors="backslashreplace").decode()


def walk(value: Any) -> Iterator[tuple[str, str, str, Any]]:
    """Yield each value that holds no others: its path, its path as all may read it, the name by which is judged whether
    it is shown, and itself.
    """
    level: list[tuple[str, str, str, Any]] = [("", "", "", value)]
    while level:
        path, shown, name, value = level.pop(0)
        if isinstance(value, dict) and value:
            level[:0] = [
                (
                    cut(f"{path}.{key}".lstrip(".")),
                    cut(f"{shown}.{hide_key(key)}".lstrip(".")),
                    pass_name_on(name, key),
                    each,
                )
                for key, each in value.items()
            ]
        elif isinstance(value, list) and value:
            level[:0] = [
                (cut(f"{path}[{number}]"), cut(f"{shown}[{number}]"), name, each)
                for number, each in enumerate(value)
            ]
        elif value not in ({}, []):
            yield path, shown, name, value


def cut(path: str) -> str:
    """Return the end of a path that is too long for a table: it names the field."""
    return path if len(path) <= LONGEST_PATH else f"…{path[-LONGEST_PATH:]}"


def find_faulty_path(fault: str) -> tuple[str, str]:
    """Return the path that a fault names, as far as it names one, and the field that is missing there."""
    at, lacking = PATH.search(fault), LACKS.search(fault)
    return (at[1] if at else ""), (lacking[1] if lacking else "")


def fits(path: str, where: str) -> bool:
    """Whether a field is the one that a fault names, or lies in it. A path of a fault begins in the message."""
    if not where:
        return False
    return any(
        whole.endswith(where) or f"{where}." in whole or f"{where}[" in whole
        for whole in (f".{path}", f".{NUMBERED.sub('[...]', path)}")
    )
