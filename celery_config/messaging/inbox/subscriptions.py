"""Receiving events: one Celery task, a table of subscriptions, an inbox (rule 21).

All events that have arrived are handled together, those of one kind by one call of each handler.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Protocol
from uuid import UUID

import structlog
from django.db import transaction

from celery_config.common import metrics
from celery_config.contracts.base import Event, decode
from celery_config.db import bulk
from celery_config.errors import DefinitionError
from celery_config.messaging.deliveries import Delivery, Outcome
from celery_config.messaging.models import InboxEntry

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Envelope:
    """A CloudEvent without its data; `saga`, `step`, `operation`, `outcome` are set on a saga's events.

    Those of a choreographed order have its id as `saga`, a `flow`, and, when said again, the number of the `drive`.
    """

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
    flow: str = ""
    drive: int = 0


@dataclass(frozen=True)
class Received:
    """An event in hand: what it says, as its contract or as it came."""

    data: Any
    envelope: Envelope


EventHandler = Callable[[Sequence[Received]], None]


@dataclass(frozen=True)
class Subscription:
    to: tuple[type[Event] | str, ...]
    handler: EventHandler
    once: bool

    @property
    def name(self) -> str:
        return f"{self.handler.__module__}.{self.handler.__qualname__}"


class Reactor(Protocol):
    """Whoever acts on events: each has an outcome of its own, perhaps a call outside, as that of a command."""

    def react(self, deliveries: Sequence[Delivery[Any]]) -> list[Outcome]:
        """Act on each of them once."""

    def conclude(self, delivery: Delivery[Any], outcome: Outcome) -> Outcome:
        """Measure and log what became of one."""

    def give_up(self, delivery: Delivery[Any], error: Exception) -> None:
        """Say that the tries are used up."""


subscriptions: list[Subscription] = []
reactors: dict[str, Reactor] = {}
"""By the type of the events."""


def handles_events(*to: type[Event] | str, once: bool = True) -> Callable[[EventHandler], EventHandler]:
    """Call the function with the events of these kinds that have arrived, in the order in which they came.

    Args:
        to: contracts (the events are decoded), or patterns such as `payment.*` (it gets the data as they came).
        once: remember the events' ids, so that a repeat is not handled again. A handler whose repeats are
            harmless by themselves (a monotone merge) may do without.
    """

    def register(function: EventHandler) -> EventHandler:
        subscriptions.append(Subscription(to, function, once))
        return function

    return register


def deliver(events: Sequence[dict[str, Any]]) -> None:
    """Give CloudEvents to everyone who subscribed, all in one transaction.

    Raises:
        DefinitionError: nobody here understands one of them.
        msgspec.ValidationError: one is not the CloudEvent its type promises.
    """
    envelopes = [decode(Envelope, event) for event in events]
    wanted = [
        (subscription, select_events(subscription, events, envelopes)) for subscription in subscriptions
    ]
    heard = {received.envelope.type for _, some in wanted for received in some}
    if unheard := {envelope.type for envelope in envelopes} - heard:
        raise DefinitionError(f"no handler subscribes to {', '.join(unheard)}, yet its queue is bound to it")
    with transaction.atomic():
        for subscription, received in wanted:
            fresh = claim_events(received, subscription.name) if subscription.once else received
            if fresh:
                subscription.handler(fresh)
    for envelope in envelopes:
        metrics.EVENTS_HANDLED.labels(envelope.type).inc()


def select_events(
    subscription: Subscription, events: Sequence[dict[str, Any]], envelopes: Sequence[Envelope]
) -> list[Received]:
    """The events that this subscription is about."""
    found = []
    for event, envelope in zip(events, envelopes, strict=True):
        if wanted := match_type(envelope.type, subscription.to):
            data = event.get("data")
            found.append(Received(data if isinstance(wanted, str) else decode(wanted, data), envelope))
    return found


@functools.cache
def match_type(kind: str, to: tuple[type[Event] | str, ...]) -> type[Event] | str | None:
    """The contract or pattern by which events of this kind are wanted; None: they are not."""
    return next(
        (each for each in to if fnmatchcase(kind, each if isinstance(each, str) else each.wire_name())), None
    )


def claim_events(received: Sequence[Received], handler: str) -> list[Received]:
    """Claim the events for the handler; return those that were not dealt with before."""
    if not received:
        return []
    once = {each.envelope.id: each for each in received}
    entries = [InboxEntry(event=id, handler=handler) for id in sorted(once)]
    made = set(bulk.insert_new(InboxEntry, entries, ("event", "handler"), returning="event"))
    return [each for id, each in once.items() if id in made]
