"""Receiving events: one Celery task, a table of subscriptions, an inbox (rule 21).

All events that have arrived are handled together, those of one kind by one call of each handler.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

import structlog
from celery.exceptions import Reject
from django.conf import settings
from django.db import DataError, transaction

from celery_config import metrics, rows, topology
from celery_config.errors import DefinitionError
from celery_config.messages import Event, decode
from celery_config.messaging import gate, outbox
from celery_config.messaging.deliveries import Delivery, Outcome
from celery_config.messaging.models import InboxEntry
from celery_config.messaging.tasks import Work, durable_task

RECEIVE, RECEIVE_ALL = "events.receive", "events.receive_all"
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Envelope:
    """A CloudEvent without its data; `saga`, `step`, `operation`, `outcome` are set on a saga's events."""

    id: UUID
    source: str
    type: str
    subject: str
    time: datetime
    specversion: str = "1.0"
    datacontenttype: str = "application/json"
    saga: UUID | None = None
    step: str = ""
    operation: str = ""
    outcome: str = ""


@dataclass(frozen=True)
class Received:
    """An event in hand: what it says, as its contract or as it came."""

    data: Any
    envelope: Envelope


EventHandler = Callable[[Sequence[Received]], None]


@dataclass(frozen=True)
class Subscription:
    pattern: str
    handler: EventHandler
    contract: type[Event] | None
    once: bool

    @property
    def name(self) -> str:
        return f"{self.handler.__module__}.{self.handler.__qualname__}"


subscriptions: list[Subscription] = []


def subscribes(to: type[Event] | str, *, once: bool = True) -> Callable[[EventHandler], EventHandler]:
    """Call the function with the events of this kind that have arrived, in the order in which they came.

    Args:
        to: a contract (the events are decoded), or a pattern such as `payment.*` (it gets the data as they came).
        once: remember the events' ids, so that a repeat is not handled again. A handler whose repeats are
            harmless by themselves (a monotone merge) may do without.
    """
    pattern = to if isinstance(to, str) else to.wire_name()

    def register(function: EventHandler) -> EventHandler:
        subscriptions.append(Subscription(pattern, function, None if isinstance(to, str) else to, once))
        return function

    return register


def each(function: Callable[[Any, Envelope], None]) -> EventHandler:
    """A handler that takes one event after the other."""

    @functools.wraps(function)
    def handle(received: Sequence[Received]) -> None:
        for one in received:
            function(one.data, one.envelope)

    return handle


def deliver(events: Sequence[dict[str, Any]]) -> None:
    """Give CloudEvents to everyone who subscribed, all in one transaction.

    Raises:
        DefinitionError: nobody here understands one of them.
        msgspec.ValidationError: one is not the CloudEvent its type promises.
    """
    envelopes = [decode(Envelope, event) for event in events]
    wanted = [(subscription, understood(subscription, events, envelopes)) for subscription in subscriptions]
    heard = {received.envelope.type for _, some in wanted for received in some}
    if unheard := {envelope.type for envelope in envelopes} - heard:
        raise DefinitionError(f"no handler subscribes to {', '.join(unheard)}, yet its queue is bound to it")
    with transaction.atomic():
        for subscription, received in wanted:
            fresh = remembered(received, subscription.name) if subscription.once else received
            if fresh:
                subscription.handler(fresh)
    for envelope in envelopes:
        metrics.EVENTS_HANDLED.labels(envelope.type).inc()


def understood(
    subscription: Subscription, events: Sequence[dict[str, Any]], envelopes: Sequence[Envelope]
) -> list[Received]:
    """The events that this subscription is about."""
    contract = subscription.contract
    return [
        Received(decode(contract, event.get("data")) if contract else event.get("data"), envelope)
        for event, envelope in zip(events, envelopes, strict=True)
        if fnmatchcase(envelope.type, subscription.pattern)
    ]


def remembered(received: Sequence[Received], handler: str) -> list[Received]:
    """Claim the events for the handler; return those that were not dealt with before."""
    if not received:
        return []
    once = {each.envelope.id: each for each in received}
    entries = [InboxEntry(event=id, handler=handler) for id in sorted(once)]
    made = set(rows.insert_new(InboxEntry, entries, ("event", "handler"), returning="event"))
    return [each for id, each in once.items() if id in made]


def events_message(kind: str, events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The message that tells all subscribers of events of one type.

    One event is a CloudEvent in structured mode, several are a batch (https://cloudevents.io, JSON format).
    """
    first, *others = events
    route = {"exchange": topology.EVENTS, "routing_key": kind}
    if others:
        shown = topology.shown(event=kind, events=len(events))
        return {"task": RECEIVE_ALL, "args": [], "kwargs": {"events": list(events)}, "options": route | shown}
    return one_message(first, route)


def one_message(event: dict[str, Any], route: dict[str, Any]) -> dict[str, Any]:
    shown = topology.shown(saga=event.get("saga"), event=event["type"], subject=event.get("subject"))
    return {
        "task": RECEIVE, "args": [], "kwargs": event, "options": {**route, "task_id": event["id"], **shown},
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EventMessage:
    """A CloudEvent in structured mode; checked as an `Envelope` where it is delivered."""

    id: UUID
    type: str
    saga: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class EventsMessage:
    """CloudEvents in batched mode."""

    events: tuple[EventMessage, ...]


def kind_of(message: Any) -> str:
    """The type of the events that a message brings; empty, if it brings none."""
    match message:
        case EventMessage():
            return message.type
        case EventsMessage(events=[first, *_]):
            return first.type
    return ""


def receive(deliveries: Sequence[Delivery[EventMessage]]) -> list[Outcome]:
    """Receive events. One that nobody understands goes to the dead letters."""
    types = {delivery.message.type for delivery in deliveries}
    structlog.contextvars.bind_contextvars(event=",".join(sorted(types)))
    try:
        deliver([delivery.request.kwargs for delivery in deliveries])
    except DefinitionError as error:
        if len(deliveries) > 1:
            raise
        log.error("event not understood", error=str(error))
        return [Reject(error, requeue=False)]
    return [None] * len(deliveries)


def receive_all(deliveries: Sequence[Delivery[EventsMessage]]) -> list[Outcome]:
    """Receive batches of events. What fails together comes again one by one, each with tries of its own."""
    events = [event for delivery in deliveries for event in delivery.request.kwargs["events"]]
    structlog.contextvars.bind_contextvars(event=",".join(sorted({event["type"] for event in events})))
    try:
        deliver(events)
    except Exception:
        if len(deliveries) > 1:
            raise
        log.exception("a batch of events failed; each comes again alone", events=len(events))
        gate.drop_if_unusable()
        if fault := unpack(events):
            return [Reject(fault, requeue=False)]
    return [None] * len(deliveries)


@transaction.atomic
def unpack(events: Sequence[dict[str, Any]]) -> Exception | None:
    """Promise each event to ourselves alone; return why, if one of them cannot be stored."""
    route, fault = topology.commands_to(settings.SERVICE), None
    for event in events:
        try:
            with transaction.atomic():
                outbox.add_tasks([(event.get("saga"), one_message(event, route))])
        except (DataError, ValueError) as error:
            log.error("an event that cannot be stored", event_id=event["id"], error=str(error))
            fault = error
    return fault


# Flower shows what was asked of whom; there are as many facts as commands, and the saga log shows them better.
durable_task(RECEIVE, Work(message=EventMessage, handle=receive, exhausted="dead letter"), send_events=False)
durable_task(
    RECEIVE_ALL, Work(message=EventsMessage, handle=receive_all, exhausted="dead letter"), send_events=False
)
