"""The board's tiles of copies: how late each is, and whether it is equal to its source."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest

from celery_config.copies import freshness
from celery_config.copies.models import CopyState
from celery_config.copies.registry import copies
from celery_config.db import functions
from celery_config.web.board import ACT, GOOD, LOOK, TILES, Section, Tile, find_list


def show_copies(request: HttpRequest) -> Iterator[Section]:
    if not copies or not request.user.has_perm("copies.view_copystate"):
        return
    now = functions.fetch_now()
    tiles = [make_tile(state, now) for state in freshness.list_states()]
    if tiles:
        yield Section("Copies of other services' data", TILES, tiles)


def make_tile(state: CopyState, now: datetime) -> Tile:
    lag = freshness.compute_lag(state, now)
    late = lag is None or lag > settings.COPY_LAG_LIMIT_SECONDS
    value = "not known" if lag is None else f"{lag:.0f} s behind" if late else "in time"
    note = f"{state.differing} rows differ from the source" if state.differing else ""
    level = ACT if state.differing else LOOK if late else GOOD
    return Tile(state.name, value, note, level, find_list("copies_copystate"))
