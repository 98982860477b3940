"""The board's part of the proof: whether all services agree about every order that ended."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpRequest

from celery_config.web.board import ACT, GOOD, LOOK, TILES, Section, Tile, find_list, is_quiet, needs
from order_project.proof.measures import LATE_SECONDS, read_state
from order_project.proof.models import DailyStatement


@needs("proof.view_brokenpromise")
def show_proof(request: HttpRequest) -> Iterator[Section]:
    state = read_state()
    tiles = [show_broken(state.broken), show_lateness(state.late_seconds)]
    if statement := DailyStatement.objects.first():
        text = f"{statement.orders} orders, books {statement.books}"
        level = ACT if statement.violations else GOOD
        found = f"{statement.violations} violations"
        tiles.append(
            Tile(f"Statement of {statement.day}", found, text, level, find_list("proof_dailystatement"))
        )
    yield Section("Proof", TILES, tiles, folds=is_quiet(tiles))


def show_broken(broken: int) -> Tile:
    url = find_list("proof_brokenpromise", dealt_with_at__isempty=1)
    note = "what all services say of the orders that ended agrees" if not broken else "compare them now"
    return Tile("Broken promises", broken, note, ACT if broken else GOOD, url)


def show_lateness(late: float) -> Tile:
    if late <= LATE_SECONDS:
        return Tile("Ended orders", "proved", "within a minute of their end", GOOD)
    return Tile("Ended orders", "wait", f"for their proof, for {late:.0f} s", LOOK)
