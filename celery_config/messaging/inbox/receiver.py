"""The tasks that receive events: no event is lost or blocks the others, whatever fails on it (rule 21, events)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from celery.exceptions import Ignore, Reject
from django.conf import settings
from django.db import DataError, transaction

from celery_config.broker import topology
from celery_config.broker.topology import RECEIVE, RECEIVE_ALL
from celery_config.common.grouping import group_by
from celery_config.errors import DefinitionError, Forged, Refused, StepSuperseded
from celery_config.messaging import database_gate
from celery_config.messaging.deliveries import Delivery, FailedTry, Outcome
from celery_config.messaging.event_envelopes import (
    EventMessage,
    EventsMessage,
    single_event_message,
)
from celery_config.messaging.holds.targets import AskedStep
from celery_config.messaging.inbox.subscriptions import Reactor, deliver, reactors
from celery_config.messaging.outbox import writing
from celery_config.messaging.tasks import Work, durable_task

log = structlog.get_logger(__name__)


def receive_events(deliveries: Sequence[Delivery[EventMessage]]) -> list[Outcome]:
    """Give events to the reactor of their type or, where it has none, to all subscribers."""
    types = {delivery.message.type for delivery in deliveries}
    structlog.contextvars.bind_contextvars(event=",".join(sorted(types)))
    outcomes: dict[int, Outcome] = {}
    for group in group_by(lambda delivery: id(find_reactor(delivery)), deliveries).values():
        reactor = find_reactor(group[0])
        some = reactor.react(group) if reactor else deliver_or_reject(group)
        outcomes |= zip(map(id, group), some, strict=True)
    return [outcomes[id(delivery)] for delivery in deliveries]


def find_reactor(delivery: Delivery[EventMessage]) -> Reactor | None:
    return reactors.get(delivery.message.type)


def deliver_or_reject(deliveries: Sequence[Delivery[EventMessage]]) -> list[Outcome]:
    """Deliver events; one without a subscriber, or of another source than it says, goes to the dead letters."""
    try:
        deliver([delivery.request.kwargs for delivery in deliveries])
    except (DefinitionError, Forged) as error:
        if len(deliveries) > 1:
            raise
        log.error("event not understood", error=str(error))
        return [Reject(error, requeue=False)]
    return [None] * len(deliveries)


def find_step(delivery: Delivery[EventMessage]) -> AskedStep | None:
    """Name the step that an event asks for; None: it only tells."""
    reactor = find_reactor(delivery)
    return reactor.find_step(delivery) if reactor else None


def conclude_reaction(delivery: Delivery[EventMessage], outcome: Outcome) -> Outcome:
    reactor = find_reactor(delivery)
    return reactor.conclude(delivery, outcome) if reactor else outcome


def note_reaction_try(delivery: Delivery[EventMessage], failed: FailedTry) -> None:
    if reactor := find_reactor(delivery):
        reactor.note_try(delivery, failed)


def give_up_reaction(delivery: Delivery[EventMessage], error: Exception) -> Outcome:
    """Let the reactor announce that the tries are used up, which ends the event; without one it is a dead letter."""
    reactor = find_reactor(delivery)
    if reactor is None:
        return None
    reactor.give_up(delivery, error)
    return Ignore(f"gave up: {error}")


def receive_batches(deliveries: Sequence[Delivery[EventsMessage]]) -> list[Outcome]:
    """Deliver batches of events. A batch that fails comes again event by event, each with tries of its own."""
    events = [event for delivery in deliveries for event in delivery.request.kwargs["events"]]
    structlog.contextvars.bind_contextvars(event=",".join(sorted({event["type"] for event in events})))
    try:
        deliver(events)
    except Exception:
        if len(deliveries) > 1:
            raise
        log.exception("a batch of events failed; each comes again alone", events=len(events))
        database_gate.drop_if_unusable()
        if fault := unpack_batch(events):
            return [Reject(fault, requeue=False)]
    return [None] * len(deliveries)


@transaction.atomic
def unpack_batch(events: Sequence[dict[str, Any]]) -> Exception | None:
    """Promise each event to this service alone; return why, if one of them cannot be stored."""
    route, fault = topology.route_task(settings.SERVICE, RECEIVE, urgent=False), None
    for event in events:
        try:
            with transaction.atomic():
                writing.add_tasks([(event.get("saga"), single_event_message(event, route))])
        except (DataError, ValueError) as error:
            log.error("an event that cannot be stored", event_id=event["id"], error=str(error))
            fault = error
    return fault


# Flower shows commands; there are as many events, and the saga log shows them better.
durable_task(
    RECEIVE,
    Work(
        message=EventMessage,
        handle=receive_events,
        find_step=find_step,
        exhausted="dead letter",
        conclude=conclude_reaction,
        note_try=note_reaction_try,
        on_exhausted=give_up_reaction,
    ),
    throws=(Refused, StepSuperseded),
    send_events=False,
)
durable_task(
    RECEIVE_ALL,
    Work(message=EventsMessage, handle=receive_batches, exhausted="dead letter"),
    send_events=False,
)
