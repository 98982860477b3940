"""Choreographed orders are announced; everything else follows from what the services hear of each other (rule 22)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid5

from django.conf import settings

from celery_config.contracts.base import encode
from celery_config.contracts.order import OrderPlaced, OrderWithdrawn
from celery_config.db import bulk
from celery_config.db.bulk import Statement
from celery_config.messaging.outbox import writing
from celery_config.participant.choreography import choreography_event
from celery_config.saga.engine import scheduling
from order_project.models import Choreography

BEGUN = (
    "order",
    "status",
    "placed",
    "cause",
    "failure",
    "attempt",
    "drives",
    "deadline_at",
    "since",
    "due_at",
)


def begin(now: datetime, deadline: float, orders: Sequence[OrderPlaced]) -> list[Statement]:
    """What announces orders, and has them looked at when nothing is heard; a part of the transaction that places them.

    Args:
        now: saga time.
        deadline: seconds, at a scale of one.
    """
    made = [
        Choreography(
            order_id=order.order,
            placed=encode(order),
            since=now,
            deadline_at=now + timedelta(seconds=settings.TIMES.deadline(deadline)),
        )
        for order in orders
    ]
    for row in made:
        row.due_at = next_look(row, now)
    return [*bulk.insert_statement(Choreography, made, BEGUN), *writing.event_statements(map(say, orders))]


def say(event: OrderPlaced | OrderWithdrawn, drive: int = 0) -> dict[str, Any]:
    """The CloudEvent; each drive has a new one."""
    event_id = uuid5(event.order, f"{event.wire_name()}/{drive}")
    return choreography_event(event, order=event.order, drive=drive, event_id=event_id)


def next_look(row: Choreography, now: datetime) -> datetime:
    """When to look if nothing is heard."""
    silent_until = now + timedelta(seconds=settings.TIMES.silence_after(row.drives))
    return scheduling.next_check_at(row.status, now=now, silent_until=silent_until, deadline=row.deadline_at)
