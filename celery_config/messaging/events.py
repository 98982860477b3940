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
from django.db import transaction

from celery_config import metrics, rows
from celery_config.errors import DefinitionError
from celery_config.messages import Event, decode
from celery_config.messaging.models import InboxEntry

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
