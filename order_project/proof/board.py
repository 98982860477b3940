"""The board's part of the proof: whether all services agree about every order that ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from celery_config.messaging.observations import compute_age, read_observations
from celery_config.web.board import (
    ACT,
    GOOD,
    LOOK,
    TILES,
    Section,
    Tile,
    find_list,
    is_quiet,
    needs,
    read_once,
)
from order_project.proof.measures import LATE_SECONDS, PASS_SECONDS, SEEN


@needs("proof.view_brokenpromise")
def show_proof(request: HttpRequest) -> Iterator[Section]:
    if not settings.PROVE_ORDERS:
        tile = Tile("Ended orders", "not proved", "PROVE_ORDERS switches it off", LOOK)
        yield Section("Proof", TILES, [tile])
        return
    seen = read_once(request, read_observations).get(SEEN)
    if seen is None:
        tile = Tile("Ended orders", "not proved yet", "the relay proves them, soon after each has ended")
        yield Section("Proof", TILES, [tile], folds=True)
        return
    silent = compute_age(seen)
    late = max(seen.content["late_seconds"], silent if silent > PASS_SECONDS else 0.0)
    tiles = [show_broken(seen.content["broken"]), show_lateness(late)]
    if statement := seen.content["statement"]:
        tiles.append(show_statement(statement))
    yield Section("Proof", TILES, tiles, folds=is_quiet(tiles))


def show_broken(broken: int) -> Tile:
    url = find_list("proof_brokenpromise", dealt_with_at__isempty=1)
    note = "compare them now" if broken else "what all services say of the orders that ended fits together"
    return Tile("Broken promises", broken, note, ACT if broken else GOOD, url)


def show_lateness(late: float) -> Tile:
    if late <= LATE_SECONDS:
        return Tile("Ended orders", "proved", "within a minute of their end", GOOD)
    return Tile("Ended orders", "wait", f"for their proof, for {late:.0f} s", LOOK)


def show_statement(statement: Mapping[str, Any]) -> Tile:
    text = f"{statement['orders']} orders, books {statement['books']}"
    level = ACT if statement["violations"] else GOOD
    found = f"{statement['violations']} violations"
    return Tile(f"Statement of {statement['day']}", found, text, level, find_list("proof_dailystatement"))
