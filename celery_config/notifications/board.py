"""The board's part of incidents: how many stand, and whether anybody would be told of a new one."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Min
from django.http import HttpRequest
from django.utils.html import format_html

from celery_config.messaging.observations import compute_age, read_observations
from celery_config.notifications.heartbeat import describe_silence
from celery_config.notifications.looking import NOTIFIER
from celery_config.notifications.models import Incident
from celery_config.notifications.states import CONDITIONS, IncidentState
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
from celery_config.web.columns import format_ago, format_number


@needs("notifications.view_incident")
def show_incidents(request: HttpRequest) -> Iterator[Section]:
    seen = read_once(request, read_observations).get(NOTIFIER)
    tiles = [make_incidents_tile(), make_notifier_tile(compute_age(seen) if seen else None)]
    yield Section("Incidents", TILES, tiles, folds=is_quiet(tiles))


def make_incidents_tile() -> Tile:
    found = Incident.objects.filter(over_at__isnull=True).aggregate(
        n=Count("pk"), open=Count("pk", CONDITIONS[IncidentState.OPEN]), at=Min("first_seen_at")
    )
    taken = found["n"] - found["open"]
    notes = [format_html("the oldest since {}", format_ago(found["at"]))] if found["n"] else []
    if taken:
        notes.append(format_html("{} acknowledged", format_number(taken)))
    level = ACT if found["open"] else LOOK if found["n"] else GOOD
    return Tile(
        "Incidents", format_number(found["n"]), format_html(", ".join(["{}"] * len(notes)), *notes) if notes else "",
        level, find_list("notifications_incident"),
    )  # fmt: skip


def make_notifier_tile(silence: float | None) -> Tile:
    says = describe_silence(silence)
    fine = says == "ok"
    return Tile(
        "Notifier",
        "runs" if fine else "does not run",
        "" if fine else says.removeprefix("warning: "),
        GOOD if fine else ACT,
        find_list("notifications_delivery"),
    )


def count_badges() -> dict[str, int]:
    """Count the incidents that are not acknowledged, for the sidebar."""
    count = Incident.objects.filter(CONDITIONS[IncidentState.OPEN]).count()
    return {Incident._meta.label_lower: count}
