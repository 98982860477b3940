"""The events that were seen of choreographed orders: each kind is recorded once with its order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from celery_config.contracts.base import Event, encode
from celery_config.db import bulk
from order_project.models import Choreography, SeenEvent

SeenByOrder = dict[UUID, dict[str, dict[str, Any]]]
"""The contents of the events, by order and kind."""


def read_events(orders: Sequence[Choreography]) -> SeenByOrder:
    """Return what was seen of these orders."""
    found = SeenEvent.objects.filter(choreography__in=[row.pk for row in orders])
    seen: SeenByOrder = {row.pk: {} for row in orders}
    for order, kind, content in found.values_list("choreography", "kind", "content"):
        seen[order][kind] = content
    return seen


def record_events(events: Iterable[tuple[UUID, Event]]) -> None:
    """Record events with their orders; one that was seen before is passed over."""
    made = {
        (order, event.wire_name()): SeenEvent(
            choreography_id=order, kind=event.wire_name(), content=plain_values(event)
        )
        for order, event in events
    }
    bulk.insert_new(SeenEvent, list(made.values()), ("choreography", "kind", "content"), returning="kind")


def plain_values(event: Event) -> dict[str, Any]:
    """Return what the event says, without what only the next service needs: lines and addresses."""
    return {
        name: value for name, value in encode(event).items() if not isinstance(value, list | tuple | dict)
    }
