"""The board's tiles of messages, in every service: the outbox, calls to the outside, what contradicts our rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Max, Min
from django.http import HttpRequest
from django.utils.html import format_html

from celery_config.common import labels
from celery_config.common.services import ORCHESTRATOR, SERVICES
from celery_config.db.functions import Now
from celery_config.messaging.flow_control.gate import read_limit, read_rate
from celery_config.messaging.measures import RELAY_LAG_LIMIT, count_contradictions
from celery_config.messaging.models import BarrierRow
from celery_config.messaging.outbox.publishing import due_rows
from celery_config.messaging.outbox.set_aside import count_set_aside
from celery_config.messaging.retention import OPEN_CALL
from celery_config.web.board import ACT, GOOD, LOOK, TILES, Section, Tile, find_list, is_quiet
from celery_config.web.columns import format_ago

LONG = timedelta(minutes=1)


def show_messages(request: HttpRequest) -> Iterator[Section]:
    tiles: list[Tile] = []
    if request.user.has_perm("messaging.view_outboxmessage"):
        tiles += [make_outbox_tile(), make_set_aside_tile()]
    if request.user.has_perm("messaging.view_barrierrow") and settings.SERVICE != ORCHESTRATOR:
        tiles.append(make_calls_tile())
    if request.user.has_perm("messaging.view_barrierrow") and SERVICES[settings.SERVICE].outside:
        tiles.append(make_pace_tile())
    if request.user.has_perm("messaging.view_contradiction") and SERVICES[settings.SERVICE].outside:
        tiles.append(make_contradictions_tile())
    if tiles:
        yield Section("Messages", TILES, tiles, folds=is_quiet(tiles))


def make_outbox_tile() -> Tile:
    """Whole seconds while it is late; else only that it is not, so that the page does not change all the time."""
    oldest = due_rows().aggregate(at=Min("due_at"), now=Max(Now()))
    seconds = (oldest["now"] - oldest["at"]).total_seconds() if oldest["at"] else 0.0
    late = seconds >= RELAY_LAG_LIMIT
    return Tile(
        labels.TO_SEND,
        f"{seconds:.0f} s late" if late else "in time",
        "the relay does not run, or the broker takes none" if late else "",
        ACT if late else GOOD,
        find_list("messaging_outboxmessage"),
    )


def make_set_aside_tile() -> Tile:
    count = count_set_aside()
    note = "each says why; somebody decides" if count else ""
    return Tile(
        labels.NOT_SENDABLE,
        count,
        note,
        ACT if count else GOOD,
        find_list("messaging_outboxmessage"),
    )


def make_calls_tile() -> Tile:
    """Calls to a provider or carrier whose outcome is not known yet."""
    rows = BarrierRow.objects.filter(OPEN_CALL, updated_at__lt=Now() - LONG)
    found = rows.aggregate(n=Count("pk"), at=Min("updated_at"))
    return Tile(
        "Calls open for more than a minute",
        found["n"],
        format_html("the oldest {}", format_ago(found["at"])) if found["n"] else "",
        LOOK if found["n"] else GOOD,
        find_list("messaging_barrierrow", action__exact="intent"),
    )


def make_pace_tile() -> Tile:
    """How many calls a second the workers make at most, after a 429 fewer than the settings allow."""
    rate = read_rate()
    is_lowered = rate != read_limit()
    outside = SERVICES[settings.SERVICE].outside
    return Tile(
        f"Calls a second to {outside}",
        f"at most {rate:.3g}" if rate else "any number",
        "lowered: it said that they came too often" if is_lowered else "",
        LOOK if is_lowered else GOOD,
    )


def make_contradictions_tile() -> Tile:
    count = count_contradictions()
    return Tile(
        "Contradictions from outside in 24 h",
        count,
        f"{SERVICES[settings.SERVICE].outside} says something else than we know" if count else "",
        ACT if count else GOOD,
        find_list("messaging_contradiction", dealt_with_at__isempty=1),
    )
