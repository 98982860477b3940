"""The board's tiles of copies: how late each is, and whether it is equal to its source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from celery_config.copies import freshness
from celery_config.copies.models import CopyState
from celery_config.copies.registry import copies
from celery_config.db.functions import Now
from celery_config.web.board import ACT, GOOD, LOOK, TILES, Section, Tile, find_list, is_quiet
from celery_config.web.columns import spell_code


def show_copies(request: HttpRequest) -> Iterator[Section]:
    if not copies or not request.user.has_perm("copies.view_copystate"):
        return
    states = {state.name: state for state in CopyState.objects.annotate(now=Now())}
    tiles = [make_tile(name, states.get(name)) for name in sorted(copies)]
    yield Section("Copies of other services' data", TILES, tiles, folds=is_quiet(tiles))


def make_tile(name: str, state: Any) -> Tile:
    """Without a state it was never measured."""
    title, where = spell_code(name).capitalize(), find_list("copies_copystate")
    if state is None:
        return Tile(title, "not measured yet", "", LOOK, where)
    lag = freshness.compute_lag(state, state.now)
    late = lag is None or lag > settings.COPY_LAG_LIMIT_SECONDS
    value = "not known" if lag is None else f"{lag:.0f} s behind" if late else "in time"
    note = f"{state.differing} rows differ from the source" if state.differing else ""
    level = ACT if state.differing else LOOK if late else GOOD
    return Tile(title, value, note, level, where)
