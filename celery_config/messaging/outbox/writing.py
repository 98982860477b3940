"""Writing to the outbox: a message is promised in the transaction that makes it true, so both happen or neither."""

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

from celery_config.broker.routes import events_route, find_route
from celery_config.broker.topology import STEP_EVENTS
from celery_config.contracts import cloudevents
from celery_config.contracts.base import Event, StepTried
from celery_config.db import bulk
from celery_config.db.bulk import Statement
from celery_config.db.functions import Now, fetch_now
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox import notifier

INSERTED = ("kind", "name", "saga", "payload", "route")
FAR_AWAY = timedelta(days=36_500)
"""What is held is due so late that no look at what is due finds it."""


def add_task(message: dict[str, Any], *, saga: UUID | None, delay: float = 0) -> None:
    """Promise a Celery message.

    Args:
        message: `task`, `args`, `kwargs` and `options` as `Celery.send_task` takes them, JSON only.
        saga: the saga it belongs to.
        delay: seconds until it may be published.
    """
    if not delay:
        add_tasks([(saga, message)])
        return
    require_transaction()
    row = OutboxMessage(
        kind=OutboxMessage.Kind.TASK,
        name=message["task"],
        saga=saga,
        payload=message,
        route=find_route(message),
    )
    # The database's clock, by which all read what is due: ours may be off.
    row.due_at = Now() + timedelta(seconds=delay)
    row.save(force_insert=True)


def add_tasks(messages: Iterable[tuple[UUID | None, dict[str, Any]]]) -> None:
    """Promise many Celery messages, each with its saga, with one statement."""
    require_transaction()
    bulk.execute(*task_statements(messages))


def task_statements(messages: Iterable[tuple[UUID | None, dict[str, Any]]]) -> list[Statement]:
    """Promises many Celery messages, each with its saga, as a part of the statement that makes them true."""
    kind = OutboxMessage.Kind.TASK.value
    return notify_after_commit(
        insert_statement(
            SimpleNamespace(
                kind=kind, name=message["task"], saga=saga, payload=message, route=find_route(message)
            )
            for saga, message in messages
        )
    )


def hold_tasks(held: Iterable[tuple[UUID, UUID, str, dict[str, Any]]]) -> None:
    """Write Celery messages that wait until they are let go: each with its hold, saga and step, with one statement.

    Of a step that is held already nothing more is written: what is kept asks for the same.
    """
    far = fetch_now() + FAR_AWAY
    kind = OutboxMessage.Kind.TASK.value
    rows = [
        SimpleNamespace(
            kind=kind,
            name=message["task"],
            saga=saga,
            payload=message,
            route=find_route(message),
            due_at=far,
            hold=hold,
            held_step=step,
        )
        for hold, saga, step, message in held
    ]
    bulk.insert_new(OutboxMessage, rows, (*INSERTED, "due_at", "hold", "held_step"), returning="id")


def insert_statement(messages: Iterable[Any]) -> list[Statement]:
    # Not instances of the model: four defaults that the database fills in anyway cost as much as all the rest.
    return bulk.insert_statement(OutboxMessage, list(messages), INSERTED)


def notify_after_commit(changes: Iterable[Statement]) -> list[Statement]:
    """The same statements, after whose commit the relay is notified."""
    return [replace(change, on_commit=notifier.notify_relay) for change in changes]


def require_transaction() -> None:
    if not connection.in_atomic_block:
        raise RuntimeError(
            "an outbox row belongs in the transaction that makes it true: wrap this in atomic()"
        )


def add_events(announced: Iterable[dict[str, Any]]) -> None:
    """Announce many CloudEvents with one statement (rule 21, events); `cloud_event` makes one."""
    require_transaction()
    bulk.execute(*event_statements(announced))


def event_statements(announced: Iterable[dict[str, Any]]) -> list[Statement]:
    """Announces many CloudEvents, as a part of the statement that makes them true."""
    events, kind = list(announced), OutboxMessage.Kind.EVENT.value
    changes = insert_statement(
        SimpleNamespace(
            kind=kind,
            name=event["type"],
            saga=event.get("saga"),
            payload=event,
            route=events_route(event["type"]),
        )
        for event in events
    )
    return changes if all(map(is_log_only, events)) else notify_after_commit(changes)


def is_log_only(event: Mapping[str, Any]) -> bool:
    """Whether the event only completes the saga log or the history, while the chain carries its news on.

    Such events wait for the relay's next poll, and many travel in one message; sent at once they cost a third of all
    the CPU of an order that travels alone.
    """
    return ("step" in event and "flow" not in event) or event["type"] == StepTried.wire_name()


def cloud_event(
    event: Event, *, subject: str, saga: UUID | None = None, event_id: UUID | None = None, **extensions: Any
) -> dict[str, Any]:
    """Return `event` as a CloudEvent of this service, with the present time.

    Args:
        subject: the id of what it is about (order id, SKU).
        saga: the correlation id, if it belongs to a saga.
        event_id: fixed where a repeat must be recognised.
        extensions: further CloudEvents attributes: step, operation, outcome.
    """
    made = cloudevents.structured_event(
        event,
        service=settings.SERVICE,
        subject=subject,
        time=timezone.now(),
        saga=saga,
        event_id=event_id or uuid4(),
        **extensions,
    )
    if event.service != STEP_EVENTS:
        return made
    # Every service may announce these: the type, and so the broker, does not say which one does.
    proof: dict[str, str] = settings.MESSAGE_KEYS.sign_message(settings.SERVICE, made["type"], made)
    return made | proof
