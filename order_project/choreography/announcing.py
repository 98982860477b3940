"""Choreographed orders are announced; all else follows from the services' events (rule 22, choreography)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid5

from django.conf import settings

from celery_config.broker.message_authentication import MANDATE
from celery_config.common.correlation import Origin, read_origin
from celery_config.contracts.base import contract_fields, encode
from celery_config.contracts.order import OrderPlaced, OrderWithdrawn
from celery_config.db import bulk
from celery_config.db.bulk import Statement
from celery_config.messaging.outbox import writing
from celery_config.participant.choreography import build_event
from celery_config.saga.engine.flows import schedule_check
from order_project.choreography.derivation import EVENTS_OF_STEPS
from order_project.models import Choreography

INSERTED = (
    "order", "status", "placed", "cause", "failure", "attempt", "drives", "deadline_at", "since", "due_at",
    "request_id", "traceparent",
)  # fmt: skip


def prepare_announcements(now: datetime, deadline: float, orders: Sequence[OrderPlaced]) -> list[Statement]:
    """Return the statements that insert the orders' choreographies, with the watchdog's first check, and their events.

    Args:
        now: saga time.
        deadline: seconds, at a scale of one.
    """
    deadline_at = now + timedelta(seconds=settings.TIMES.deadline(deadline))
    origin = read_origin()
    made = [
        Choreography(
            order_id=order.order,
            placed=encode(order),
            since=now,
            deadline_at=deadline_at,
            request_id=origin.request_id,
            traceparent=origin.traceparent,
        )
        for order in orders
    ]
    for row in made:
        schedule_check(row, now)
    return [
        *bulk.insert_statement(Choreography, made, INSERTED),
        *writing.event_statements(build_announcement(order, origin) for order in orders),
    ]


def build_announcement(
    event: OrderPlaced | OrderWithdrawn, origin: Origin, drive: int = 0, known: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the CloudEvent; each drive has a new one.

    Args:
        origin: what began the order.
        known: the steps that were seen to be done and not undone.
    """
    event_id = uuid5(event.order, f"{event.wire_name()}/{drive}")
    more = {MANDATE: make_mandate(event)} if isinstance(event, OrderPlaced) else {}
    return build_event(
        event,
        order=event.order,
        drive=drive,
        known=" ".join(known),
        event_id=event_id,
        **more,
        **origin.make_attributes(),
    )


def make_mandate(placed: OrderPlaced) -> str:
    """Return what lets each service carry out its steps of this order (rule 29, authenticity)."""
    fields = encode(placed)
    steps = {
        command.wire_name(): (
            command.service,
            {each.name: fields[each.name] for each in contract_fields(command) if each.name in fields},
        )
        for command in EVENTS_OF_STEPS
    }
    return str(settings.MESSAGE_KEYS.make_mandate(str(placed.order), steps))
