"""Publishing from the outbox: a row is done once the broker confirmed it, and a crash before sends it twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from celery_config.broker.publisher import Publisher
from celery_config.common import metrics
from celery_config.common.codec import decode
from celery_config.common.grouping import group_by
from celery_config.db import bulk, functions
from celery_config.db.functions import Now, cached_sql
from celery_config.failpoints.points import Point, reach
from celery_config.messaging.event_envelopes import events_message
from celery_config.messaging.models import OutboxMessage

log = structlog.get_logger(__name__)
REFUSED_WAIT = timedelta(seconds=10)
Kind = OutboxMessage.Kind
PACK = 50
metrics.prepare_labels(metrics.PUBLISHED, Kind.values)


@dataclass(frozen=True)
class Promise:
    """An outbox row that is due."""

    id: int
    kind: str
    name: str
    payload: dict[str, Any]


def pack_messages(rows: Sequence[Promise]) -> list[tuple[dict[str, Any], list[Promise]]]:
    """Return the Celery messages of rows: a task as it was written, events of one type up to `PACK` in one.

    Events of a choreographed order are acted on as commands are, and travel like them: one by one.
    """
    messages = [(row.payload, [row]) for row in rows if row.kind == Kind.TASK]
    for name, events in group_by(
        lambda row: row.name, (row for row in rows if row.kind == Kind.EVENT)
    ).items():
        size = 1 if "flow" in events[0].payload else PACK
        for start in range(0, len(events), size):
            pack = events[start : start + size]
            messages.append((events_message(name, [row.payload for row in pack]), pack))
    return messages


def due_filter() -> Q:
    return Q(published_at__isnull=True, due_at__lte=Now())


@cached_sql
def select_any_due() -> QuerySet[OutboxMessage, Any]:
    """The statement of `has_due_rows`."""
    return OutboxMessage.objects.filter(due_filter()).values("pk")[:1]


@cached_sql
def select_due(limit: int) -> QuerySet[OutboxMessage, Any]:
    """The statement of `lock_due_rows`."""
    found = OutboxMessage.objects.filter(due_filter()).order_by("due_at", "id")
    ours = found.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
    return ours.values_list("id", "kind", "name", "payload")[:limit]


def has_due_rows() -> bool:
    """Whether a row waits to be published: one cheap statement, outside any transaction."""
    return bool(functions.fetch_all(*select_any_due()))


def lock_due_rows(limit: int) -> list[Promise]:
    """Lock and return up to `limit` due rows, except those that another relay has locked."""
    found = functions.fetch_all(*select_due(limit))
    return [Promise(id, kind, name, decode(payload)) for id, kind, name, payload in found]


def publish_batch(publisher: Publisher, limit: int) -> int:
    """Publish up to `limit` due rows and return how many were found.

    The rows stay locked until the broker confirmed them, so two relays never send the same row. After a crash it is
    sent twice: barrier and inbox recognise the repeat.
    """
    with transaction.atomic():
        rows = lock_due_rows(limit)
        if not rows:
            return 0
        messages = pack_messages(rows)
        taken = publisher.publish([message for message, _ in messages])
        reach(Point.RELAYED)
        # A row that a crash brings back is only sent again.
        functions.disable_synchronous_commit()
        sent = [row for i, (_, some) in enumerate(messages) if i in taken for row in some]
        refused = [row.id for i, (_, some) in enumerate(messages) if i not in taken for row in some]
        # A sent command is deleted; an event stays for readers that must catch up (rule 20, the feed).
        published = [SimpleNamespace(id=r.id, published_at=Now()) for r in sent if r.kind == Kind.EVENT]
        bulk.execute(
            *bulk.delete_statement(OutboxMessage, [r.id for r in sent if r.kind == Kind.TASK]),
            *bulk.update_statement(OutboxMessage, published, ["published_at"]),
        )
        if refused:
            OutboxMessage.objects.filter(id__in=refused).update(due_at=Now() + REFUSED_WAIT)
            metrics.UNPUBLISHED.inc(len(refused))
    for kind in Kind:
        metrics.PUBLISHED.labels(kind.value).inc(sum(r.kind == kind for r in sent))
    return len(rows)
