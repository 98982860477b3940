"""The board's tile of the books: whether the provider's or carrier's agree with ours."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpRequest

from celery_config.messaging.observations import find_observation
from celery_config.reconciliation.sweep import BOOKS
from celery_config.web.board import ACT, GOOD, TILES, Section, Tile, needs
from celery_config.web.columns import format_ago


@needs("messaging.view_contradiction")
def show_books(request: HttpRequest) -> Iterator[Section]:
    found = find_observation(BOOKS)
    if found is None:
        yield Section(
            "Books", TILES, [Tile("Books", "not compared yet", "the relay compares them once a day")]
        )
        return
    differences = found.content["differences"]
    value = f"{differences} differences" if differences else "equal"
    tile = Tile(
        f"Ours and the {found.content['books']}'s", value, format_ago(found.at), ACT if differences else GOOD
    )
    yield Section("Books", TILES, [tile])


def check_books() -> str:
    """For `/flowz`: only a warning, since nothing stands for it. Empty: they were not compared yet."""
    found = find_observation(BOOKS)
    if found is None:
        return ""
    if differences := found.content["differences"]:
        books = found.content["books"]
        return (
            f"warning: {differences} differences from the {books}'s books; the command reconcile lists them"
        )
    return "ok"
