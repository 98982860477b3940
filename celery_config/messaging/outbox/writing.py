"""Writing to the outbox: always inside the transaction that makes the message true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection
from django.utils import timezone

from celery_config.contracts import cloudevents
from celery_config.contracts.base import Event
from celery_config.db import bulk
from celery_config.db.bulk import Statement
from celery_config.db.functions import Now
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox import notifier

INSERTED = ("kind", "name", "saga", "payload")


def add_task(message: dict[str, Any], *, saga: UUID | None, delay: float = 0) -> None:
    """Promise a Celery message.

    Args:
        message: `task`, `args`, `kwargs` and `options` as `Celery.send_task` takes them, JSON only.
        saga: whom it belongs to.
        delay: seconds until it may be published.
    """
    if not delay:
        add_tasks([(saga, message)])
        return
    require_transaction()
    row = OutboxMessage(kind=OutboxMessage.Kind.TASK, name=message["task"], saga=saga, payload=message)
    # The database's clock, as everything that asks what is due does: ours may be off.
    row.due_at = Now() + timedelta(seconds=delay)
    row.save(force_insert=True)


def add_tasks(messages: Iterable[tuple[UUID | None, dict[str, Any]]]) -> None:
    """Promise many Celery messages, each with its saga, with one statement."""
    require_transaction()
    bulk.execute(*task_statements(messages))


def task_statements(messages: Iterable[tuple[UUID | None, dict[str, Any]]]) -> list[Statement]:
    """What promises many Celery messages, each with its saga; a part of the statement that makes them true."""
    return notify_after_commit(
        insert_statement(
            SimpleNamespace(
                kind=OutboxMessage.Kind.TASK.value, name=message["task"], saga=saga, payload=message
            )
            for saga, message in messages
        )
    )


def insert_statement(messages: Iterable[Any]) -> list[Statement]:
    """What writes the rows."""
    # Not instances of the model: four defaults that the database fills in anyway cost as much as all the rest.
    return bulk.insert_statement(OutboxMessage, list(messages), INSERTED)


def notify_after_commit(changes: Iterable[Statement]) -> list[Statement]:
    """The same, with the relay called once they are committed."""
    return [replace(change, then=notifier.notify_relay) for change in changes]


def require_transaction() -> None:
    if not connection.in_atomic_block:
        raise RuntimeError(
            "an outbox row belongs into the transaction that makes it true: wrap this in atomic()"
        )


def add_event(
    event: Event,
    *,
    subject: str,
    saga: UUID | None = None,
    event_id: UUID | None = None,
    **extensions: str,
) -> None:
    """Announce `event` as a CloudEvent 1.0 (structured mode, rule 21).

    Args:
        event: the contract; its type is the event's type.
        subject: the id of what it is about (order id, SKU).
        saga: the correlation id, if it belongs to a saga.
        event_id: fixed where a repeat must be recognised.
        extensions: further CloudEvents attributes: step, operation, outcome.
    """
    add_events([cloud_event(event, subject=subject, saga=saga, event_id=event_id, **extensions)])


def add_events(announced: Iterable[dict[str, Any]]) -> None:
    """Announce many CloudEvents with one statement."""
    require_transaction()
    bulk.execute(*event_statements(announced))


def event_statements(announced: Iterable[dict[str, Any]]) -> list[Statement]:
    """What announces many CloudEvents; a part of the statement that makes them true."""
    told = list(announced)
    changes = insert_statement(
        SimpleNamespace(
            kind=OutboxMessage.Kind.EVENT.value, name=event["type"], saga=event.get("saga"), payload=event
        )
        for event in told
    )
    return changes if all(map(is_log_only, told)) else notify_after_commit(changes)


def is_log_only(event: Mapping[str, Any]) -> bool:
    """Whether nobody waits for it: the chain has carried what it says on.

    Such events wait for the relay's next look, a crowd of them in one message; sent as they come they cost a third of
    all the CPU of an order that travels alone.
    """
    return "step" in event and "flow" not in event


def cloud_event(
    event: Event, *, subject: str, saga: UUID | None = None, event_id: UUID | None = None, **extensions: Any
) -> dict[str, Any]:
    """Return `event` as this service's CloudEvent, of now."""
    return cloudevents.structured_event(
        event,
        service=settings.SERVICE,
        subject=subject,
        time=timezone.now(),
        saga=saga,
        event_id=event_id or uuid4(),
        **extensions,
    )
