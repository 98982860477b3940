"""The board: the admin's home, in parts that renew themselves. Each service's settings name what it shows.

A provider (setting `BOARD`) is a function that takes the request and returns sections. It returns none of what the
person may not see, and asks the service's own database alone: a part never waits for another service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils.module_loading import import_string

Read = TypeVar("Read")
GOOD, LOOK, ACT = "good", "look", "act"
TILES = "order_saga/board/tiles.html"
TABLE = "order_saga/board/table.html"
SMALL_TABLE = "order_saga/board/small_table.html"
"""Of few columns: it stays a table on a phone."""


@dataclass(frozen=True)
class Tile:
    """One number or state, and the list behind it.

    Args:
        note: a line below it.
        level: whether all is well (`good`), somebody should `look`, or must `act`; empty: it is a mere number.
    """

    title: str
    value: Any
    note: Any = ""
    level: str = ""
    url: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the board under one heading; the template shows its `content`.

    Args:
        folds: whether a phone shows the heading alone until somebody unfolds it: nothing in it asks for anybody.
    """

    title: str
    template: str
    content: Any
    folds: bool = False


@dataclass(frozen=True)
class Part:
    """Sections that are asked for together, every so many seconds."""

    name: str
    seconds: int
    url: str
    sections: list[Section]


def is_quiet(tiles: Iterable[Tile]) -> bool:
    """Whether none of these asks a person to look."""
    return all(tile.level not in (LOOK, ACT) for tile in tiles)


def make_table(headers: Sequence[str], rows: Iterable[Sequence[Any]], nothing: str = "") -> dict[str, Any]:
    """Return the content of a `TABLE`: each cell knows its heading, which a phone shows beside it."""
    return {
        "headers": headers,
        "rows": [[*zip(headers, row, strict=True)] for row in rows],
        "nothing": nothing,
    }


def read_once(request: HttpRequest, read: Callable[[], Read]) -> Read:
    """Read what several parts show: the home, which has all parts, reads it once."""
    kept = vars(request).setdefault("board_read", {})
    if read not in kept:
        kept[read] = read()
    found: Read = kept[read]
    return found


Provider = Callable[[HttpRequest], Iterable[Section]]


def needs(permission: str) -> Callable[[Provider], Provider]:
    """Decorate a provider: without this permission it shows nothing, and reads nothing."""

    def decorate(provider: Provider) -> Provider:
        @wraps(provider)
        def checked(request: HttpRequest) -> Iterable[Section]:
            return provider(request) if request.user.has_perm(permission) else ()

        return checked

    return decorate


def make_part(request: HttpRequest, name: str) -> Part:
    """Read one part of the board, as this person may see it.

    Raises:
        Http404: the service's board has no such part.
    """
    if name not in settings.BOARD:
        raise Http404(f"The board has no part {name}")
    seconds, paths = settings.BOARD[name]
    sections = [section for path in paths for section in import_string(path)(request)]
    chosen = request.GET.urlencode()
    url = reverse("admin:board", args=[name]) + (f"?{chosen}" if chosen else "")
    return Part(name, seconds, url, sections)


def make_parts(request: HttpRequest) -> list[Part]:
    """Read the whole board."""
    return [make_part(request, name) for name in settings.BOARD]


def find_list(model: str, **filters: Any) -> str:
    """Return the address of a list in the admin.

    Args:
        model: `app_model`.
        filters: lookups of the list's own fields.
    """
    query = urlencode({name: str(value) for name, value in filters.items()})
    return reverse(f"admin:{model}_changelist") + (f"?{query}" if query else "")
