"""Announcing events again, to one service alone: the row in our outbox says what was announced, and nobody else does.

An event goes out under a key that leads to one service's queue (`topology.again_key`). It is not a new event: the feed
and all other services see nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
    others = sorted((each for each in asked if not each.saga), key=lambda each: each.time)
    for start in range(0, len(others), READ_AT_ONCE):
        some = others[start : start + READ_AT_ONCE]
        between = (some[0].time - SKEW, some[-1].time + LATEST)
        found |= select_events(Q(published_at__range=between), {each.id for each in some})
    return found


def select_events(where: Q, wanted: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
    rows = OutboxMessage.objects.filter(
        where, kind=OutboxMessage.Kind.EVENT, payload__id__in=[str(each) for each in wanted]
    )
    return {UUID(payload["id"]): payload for payload in rows.values_list("payload", flat=True)}
