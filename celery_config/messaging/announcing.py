"""Announcing events again, to one service alone: only the row in our outbox says what was announced.

An event goes out under a key that leads to one service's queue (`topology.again_key`). It is not a new event: the feed
and all other services see nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q

from celery_config.broker.topology import EVENTS, again_key
from celery_config.messaging.event_envelopes import single_event_message
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox import writing

log = structlog.get_logger(__name__)
MOST_ASKED = 500
"""Events in one call."""
SKEW, LATEST = timedelta(minutes=5), timedelta(hours=1)
"""An event without a saga is looked for among those that were published so soon before or after its time."""
READ_AT_ONCE = 20
FIRST_YEAR, LAST_YEAR = 2000, 9000


@dataclass(frozen=True)
class AskedEvent:
    """An event that a service asks its source to announce again: enough to find it by an index."""

    id: UUID
    saga: UUID | None
    time: datetime


def announce_again(asked: Sequence[AskedEvent], receiver: str) -> set[UUID]:
    """Promise these events again to the service `receiver`, in their order; return the ids of those that are gone."""
    kept = find_events(asked)
    found = {each.id: kept[each.id] for each in asked if each.id in kept}
    messages = [
        (
            UUID(event["saga"]) if event.get("saga") else None,
            single_event_message(
                event, {"exchange": EVENTS, "routing_key": again_key(event["type"], receiver)}
            ),
        )
        for event in found.values()
    ]
    with transaction.atomic():
        writing.add_tasks(messages)
    log.warning("events are announced again", to=receiver, events=len(found), asked=len(asked))
    return {each.id for each in asked} - found.keys()


def find_events(asked: Sequence[AskedEvent]) -> dict[UUID, dict[str, Any]]:
    """Return what was announced, by the events' ids: of a saga by its index, of none by the time of its publishing."""
    wanted = {each.id for each in asked}
    sagas = {each.saga for each in asked if each.saga}
    found = select_events(Q(saga__in=sagas), wanted) if sagas else {}
    for some in split_by_time([(each.time, each.id) for each in asked if not each.saga]):
        between = (some[0][0] - SKEW, some[-1][0] + LATEST)
        found |= select_events(Q(published_at__range=between), {id for _, id in some})
    return found


def split_by_time(events: Iterable[tuple[datetime, UUID]]) -> Iterator[list[tuple[datetime, UUID]]]:
    """Yield events that are near each other, so that no look reads a long stretch of the outbox.

    What an event says of its time is anything: without an offset it is UTC, and one that we announced is of our years.
    """
    aware = ((time if time.tzinfo else time.replace(tzinfo=UTC), id) for time, id in events)
    near: list[tuple[datetime, UUID]] = []
    for time, id in sorted(each for each in aware if FIRST_YEAR <= each[0].year <= LAST_YEAR):
        if near and (len(near) == READ_AT_ONCE or time - near[0][0] > LATEST):
            yield near
            near = []
        near.append((time, id))
    if near:
        yield near


def select_events(where: Q, wanted: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
    rows = OutboxMessage.objects.filter(
        where, kind=OutboxMessage.Kind.EVENT, payload__id__in=[str(each) for each in wanted]
    )
    return {UUID(payload["id"]): payload for payload in rows.values_list("payload", flat=True)}
