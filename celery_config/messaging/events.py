"""Receiving events: one Celery task, a table of subscriptions, an inbox (rule 21)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

import structlog
from celery import Task
from celery.exceptions import Reject
from django.db import transaction

from celery_config import metrics
from celery_config.errors import DefinitionError
from celery_config.messages import Event, decode
from celery_config.messaging.models import InboxEntry
from celery_config.messaging.tasks import durable_task

RECEIVE = "events.receive"
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
class Subscription:
    pattern: str
    handler: Callable[[Any, Envelope], None]
    contract: type[Event] | None
    once: bool

    @property
    def name(self) -> str:
        return f"{self.handler.__module__}.{self.handler.__qualname__}"


subscriptions: list[Subscription] = []


def subscribes(to: type[Event] | str, *, once: bool = True) -> Callable[..., Any]:
    """Call the function with `(event, envelope)` for each event of the kind.

    Args:
        to: a contract (the event is decoded), or a pattern such as `payment.*` (it gets the data as it came).
        once: remember the event's id, so that a repeat is not handled again. A handler whose repeats are
            harmless by themselves (a monotone merge) may do without.
    """
    pattern = to if isinstance(to, str) else to.wire_name()

    def register(function: Callable[[Any, Envelope], None]) -> Callable[[Any, Envelope], None]:
        subscriptions.append(Subscription(pattern, function, None if isinstance(to, str) else to, once))
        return function

    return register


def deliver(event: dict[str, Any]) -> None:
    """Give one CloudEvent to everyone who subscribed, all in one transaction.

    Raises:
        DefinitionError: nobody here understands it.
        msgspec.ValidationError: it is not the CloudEvent its type promises.
    """
    envelope = decode(Envelope, event)
    wanted = [s for s in subscriptions if fnmatchcase(envelope.type, s.pattern)]
    if not wanted:
        raise DefinitionError(f"no handler subscribes to {envelope.type}, yet its queue is bound to it")
    with transaction.atomic():
        for subscription in wanted:
            if subscription.once and not remember(envelope.id, subscription.name):
                continue
            data = event.get("data")
            subscription.handler(
                decode(subscription.contract, data) if subscription.contract else data, envelope
            )
    metrics.EVENTS_HANDLED.labels(envelope.type).inc()


def remember(event: UUID, handler: str) -> bool:
    """Claim the event for the handler; False when it was dealt with before."""
    _, made = InboxEntry.objects.get_or_create(event=event, handler=handler)
    return made


# Flower shows what was asked of whom; there are as many facts as commands, and the saga log shows them better.
@durable_task(RECEIVE, exhausted="dead letter", send_events=False)
def receive(task: Task, **event: Any) -> None:
    """Receive one event."""
    structlog.contextvars.bind_contextvars(event=event.get("type"), saga=event.get("saga"))
    try:
        deliver(event)
    except DefinitionError as error:
        log.error("event not understood", error=str(error))
        raise Reject(error, requeue=False) from error
