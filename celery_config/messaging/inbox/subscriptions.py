"""The inbox: every subscriber gets an event, and if it asks for that, gets no event twice (rule 21, events).

All events that have arrived are handled together, those of one kind by one call of each handler.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Protocol
from uuid import UUID

import msgspec
import structlog
from django.conf import settings
from django.db import transaction

from celery_config.broker.topology import STEP_EVENTS
from celery_config.common import metrics
from celery_config.contracts.base import Event, decode
from celery_config.db import bulk
from celery_config.errors import DefinitionError
from celery_config.messaging.deliveries import Delivery, FailedTry, Outcome
from celery_config.messaging.holds.targets import AskedStep
from celery_config.messaging.models import InboxEntry

log = structlog.get_logger(__name__)
OTHER = "other"
"""What the metrics call the type of an event that has no contract here."""


@dataclass(frozen=True)
class Envelope:
    """A CloudEvent without its data; `saga`, `step`, `operation`, `outcome` are set on a saga's events.

    A choreographed order's events have its id as `saga`, a `flow` and, when repeated, the number of the `drive`. An
    event of a published table has the `epoch` of its database.
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
    epoch: str = ""

    @property
    def speaker(self) -> str:
        """The service that announces it: the type says so, or the source, which then is proved (`check_source`)."""
        service = self.type.partition(".")[0]
        return self.source.removeprefix("/") if service == STEP_EVENTS else service


@dataclass(frozen=True)
class Received:
    """A received event: its data, as its contract or as they came, and its envelope."""

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
        """The handler's dotted path. If you rename the function, the inbox treats old events as new."""
        return f"{self.handler.__module__}.{self.handler.__qualname__}"


class Reactor(Protocol):
    """Acts on events of one type: each has an outcome of its own as a command has, perhaps a call outside."""

    def react(self, deliveries: Sequence[Delivery[Any]]) -> list[Outcome]:
        """Act on each event once."""

    def find_step(self, delivery: Delivery[Any]) -> AskedStep | None:
        """Name the step that an event asks for, which an operator may hold."""

    def conclude(self, delivery: Delivery[Any], outcome: Outcome) -> Outcome:
        """Measure and log the outcome of one event."""

    def note_try(self, delivery: Delivery[Any], failed: FailedTry) -> None:
        """Write a failed try down."""

    def give_up(self, delivery: Delivery[Any], error: Exception) -> None:
        """Announce that the tries are used up."""


subscriptions: list[Subscription] = []
reactors: dict[str, Reactor] = {}
"""By the type of their events."""


def add_subscription(handler: EventHandler, *to: type[Event] | str, once: bool = True) -> None:
    """Call the handler with the events of these kinds that have arrived, in the order of arrival.

    Args:
        to: contracts (their events are decoded), or topic patterns such as `payment.*` (it gets the data as they came).
        once: remember the events' ids, so that a repeat is not handled again.
    """
    subscriptions.append(Subscription(to, handler, once))


def deliver(events: Sequence[dict[str, Any]]) -> None:
    """Give CloudEvents to all their subscribers, in one transaction.

    Raises:
        DefinitionError: an event has no subscriber here.
        msgspec.ValidationError: an event does not fit its type's contract.
        Forged: an event about a step is not from the service that it names.
    """
    envelopes = [decode(Envelope, event) for event in events]
    for event, envelope in zip(events, envelopes, strict=True):
        check_source(event, envelope)
    selected = [(each, select_events(each, events, envelopes)) for each in subscriptions]
    subscribed = {received.envelope.type for _, some in selected for received in some}
    if unknown := {envelope.type for envelope in envelopes} - subscribed:
        raise DefinitionError(f"no handler subscribes to {', '.join(unknown)}, yet its queue is bound to it")
    with transaction.atomic():
        for subscription, received in selected:
            fresh = claim_events(received, subscription.name) if subscription.once else received
            if fresh:
                subscription.handler(fresh)
    for envelope in envelopes:
        metrics.EVENTS_HANDLED.labels(envelope.type if envelope.type in map_contracts() else OTHER).inc()


def check_source(event: dict[str, Any], envelope: Envelope) -> None:
    """
    Raises:
        Forged: every service may announce events of this type, and this one is not from its source.
    """
    if envelope.type.startswith(f"{STEP_EVENTS}."):
        settings.MESSAGE_KEYS.check_message(envelope.speaker, envelope.type, event)


@metrics.prepare_at_start
def prepare_metrics() -> None:
    to = [each.to for each in subscriptions]
    metrics.prepare_labels(
        metrics.EVENTS_HANDLED,
        [kind for kind in map_contracts() if any(match_type(kind, some) for some in to)],
    )


@functools.cache
def map_contracts() -> Mapping[str, type[Event]]:
    """Return the contracts of events by type; a service may announce as many other types as it likes."""
    return {event.wire_name(): event for event in iterate_subclasses(Event) if hasattr(event, "service")}


def find_contract(kind: str) -> type[Event]:
    """Return the contract of the events of this type.

    Raises:
        msgspec.ValidationError: this release knows none.
    """
    try:
        return map_contracts()[kind]
    except KeyError as error:
        raise msgspec.ValidationError(f"this release knows no event {kind!r}") from error


def iterate_subclasses(kind: type[Event]) -> Iterator[type[Event]]:
    for each in kind.__subclasses__():
        yield each
        yield from iterate_subclasses(each)


def select_events(
    subscription: Subscription, events: Sequence[dict[str, Any]], envelopes: Sequence[Envelope]
) -> list[Received]:
    """Return the events that match this subscription."""
    found = []
    for event, envelope in zip(events, envelopes, strict=True):
        if match := match_type(envelope.type, subscription.to):
            data = event.get("data")
            found.append(Received(data if isinstance(match, str) else decode(match, data), envelope))
    return found


@functools.lru_cache(maxsize=1000)
def match_type(kind: str, to: tuple[type[Event] | str, ...]) -> type[Event] | str | None:
    """Return the contract or pattern that matches events of this kind, or None."""
    return next(
        (each for each in to if fnmatchcase(kind, each if isinstance(each, str) else each.wire_name())), None
    )


def claim_events(received: Sequence[Received], handler: str) -> list[Received]:
    """Write the events' inbox entries; return those events that the handler has not handled before."""
    if not received:
        return []
    once = {each.envelope.id: each for each in received}
    entries = [InboxEntry(event=id, handler=handler) for id in sorted(once)]
    made = set(bulk.insert_new(InboxEntry, entries, ("event", "handler"), returning="event"))
    return [each for id, each in once.items() if id in made]
