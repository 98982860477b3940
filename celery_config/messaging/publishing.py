"""Publishing what the outbox holds: takes rows that are due, sends them, and forgets what the broker took."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Q

from celery_config import database, metrics
from celery_config import rows as many
from celery_config.codec import decode
from celery_config.database import Now
from celery_config.failpoints import Point, reach
from celery_config.groups import by
from celery_config.messaging.event_messages import events_message
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.publisher import Publisher, Unconfirmed, connection_errors

log = structlog.get_logger(__name__)
REFUSED_WAIT = timedelta(seconds=10)
# A batch that could not be sent at once is sent piece by piece, for so many times the time of one publish.
RETRIED_FOR = 4
Kind = OutboxMessage.Kind
PACK = 50


@dataclass(frozen=True)
class Promise:
    """An outbox row that is due."""

    id: int
    kind: str
    name: str
    payload: dict[str, Any]


def packed(rows: Sequence[Promise]) -> list[tuple[dict[str, Any], list[Promise]]]:
    """The Celery messages of rows: a task each as it was written, events of one type up to `PACK` in one.

    Those of a choreographed order are acted on as commands are, and travel as these do: one by one.
    """
    messages = [(row.payload, [row]) for row in rows if row.kind == Kind.TASK]
    for name, events in by(lambda row: row.name, (row for row in rows if row.kind == Kind.EVENT)).items():
        size = 1 if "flow" in events[0].payload else PACK
        for start in range(0, len(events), size):
            pack = events[start : start + size]
            messages.append((events_message(name, [row.payload for row in pack]), pack))
    return messages


def route(message: dict[str, Any]) -> tuple[str, str]:
    return message["options"]["exchange"], message["options"]["routing_key"]


def due() -> Q:
    """The rows that may be published now."""
    return Q(published_at__isnull=True, due_at__lte=Now())


# Built once, since they run many times a second.
@functools.cache
def look() -> tuple[str, tuple[Any, ...]]:
    """The statement behind `anything_due`."""
    statement, values = OutboxMessage.objects.filter(due()).values("pk")[:1].query.sql_with_params()
    return statement, values


@functools.cache
def take(limit: int) -> tuple[str, tuple[Any, ...]]:
    """The statement behind `taken`."""
    found = OutboxMessage.objects.filter(due()).order_by("due_at", "id")
    locked = found.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
    statement, values = locked.values_list("id", "kind", "name", "payload")[:limit].query.sql_with_params()
    return statement, values


def anything_due() -> bool:
    """Whether a row waits to be published: one cheap statement, outside any transaction."""
    with connection.cursor() as cursor:
        cursor.execute(*look())
        return cursor.fetchone() is not None


def taken(limit: int) -> list[Promise]:
    """Up to `limit` rows that are due, less those that another relay has in hand; locked for us."""
    with connection.cursor() as cursor:
        cursor.execute(*take(limit))
        return [Promise(id, kind, name, decode(payload)) for id, kind, name, payload in cursor.fetchall()]


def send(publisher: Publisher, messages: list[dict[str, Any]]) -> dict[int, bool]:
    """Publish and return, by index, whether the broker took each; one that cannot be sent does not hold up the
    others. An index that is missing was not tried.

    Raises:
        the connection's errors: nothing can be sent at present.
    """
    lost = connection_errors(publisher.app)
    try:
        taken = publisher.publish(messages)
        return {index: index in taken for index in range(len(messages))}
    except Unconfirmed as error:
        # A channel waits for a queue that has no leader, and all that comes behind waits with it: to each its own.
        crowds = by(lambda each: route(each[1]), enumerate(messages))
        if len(crowds) == 1:
            log.error("a queue confirms nothing", route=route(messages[0]), error=repr(error))
            return dict.fromkeys(range(len(messages)), False)
    except Exception as error:
        if isinstance(error, lost):
            raise
        if len(messages) == 1:
            log.error(
                "a message cannot be sent; it stays in the outbox", task=messages[0]["task"], exc_info=error
            )
            return {0: False}
        crowds = {(str(index), ""): [(index, message)] for index, message in enumerate(messages)}
    sent: dict[int, bool] = {}
    until = time.monotonic() + RETRIED_FOR * publisher.timeout
    for crowd in crowds.values():
        if time.monotonic() < until:
            results = send(publisher, [message for _, message in crowd])
            sent |= {crowd[number][0]: taken for number, taken in results.items()}
    return sent


def publish_batch(publisher: Publisher, limit: int) -> int:
    """Publish up to `limit` due rows and return how many were found.

    The rows stay locked until the broker confirmed them, so two relays never send one row; a crash in between
    sends it twice, which the barrier and the inbox bear.
    """
    with transaction.atomic():
        rows = taken(limit)
        if not rows:
            return 0
        # A row that a crash brings back is sent again, which the barrier and the inbox bear.
        database.forget_if_it_dies()
        messages = packed(rows)
        results = send(publisher, [message for message, _ in messages])
        reach(Point.RELAYED)
        sent = [row for i, (_, some) in enumerate(messages) if results.get(i) for row in some]
        refused = [row.id for i, (_, some) in enumerate(messages) if results.get(i) is False for row in some]
        # A command has done its duty; an event stays for those who must catch up (rule 20).
        published = [SimpleNamespace(id=r.id, published_at=Now()) for r in sent if r.kind == Kind.EVENT]
        many.write(
            *many.deleted(OutboxMessage, [r.id for r in sent if r.kind == Kind.TASK]),
            *many.updated(OutboxMessage, published, ["published_at"]),
        )
        if refused:
            OutboxMessage.objects.filter(id__in=refused).update(due_at=Now() + REFUSED_WAIT)
            metrics.UNPUBLISHED.inc(len(refused))
    for kind in Kind:
        metrics.PUBLISHED.labels(kind.value).inc(sum(r.kind == kind for r in sent))
    return len(rows)
