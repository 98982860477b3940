"""Publishing from the outbox: a row is done once the broker confirmed it, and a crash before sends it twice.

Rows are taken by the time since which they can be sent; when there are many, a share of each route is among them. While
the publisher holds a route back, they are taken route by route, and the rows of that one are neither read nor written.
A row that can never be sent is set aside for an operator.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError, connection, models, transaction
from django.db.models import Case, ExpressionWrapper, F, QuerySet, When

from celery_config.broker.publisher import Publisher
from celery_config.broker.routes import events_route, find_route
from celery_config.broker.topology import MOST_EVENTS
from celery_config.common import metrics
from celery_config.common.codec import decode
from celery_config.common.grouping import group_by, split_chunks
from celery_config.db import bulk, functions
from celery_config.db.functions import Now, cached_sql
from celery_config.failpoints.points import Point, reach
from celery_config.messaging.event_envelopes import events_message
from celery_config.messaging.models import UNSENT, OutboxMessage
from celery_config.messaging.outbox.publish_spans import trace_messages

log = structlog.get_logger(__name__)
Kind = OutboxMessage.Kind
metrics.prepare_labels(metrics.PUBLISHED, Kind.values)
LATE = timedelta(seconds=5)
MAX_FAULT = 1000
COLUMNS = ("id", "kind", "name", "payload", "route")
TASK_PARTS, EVENT_PARTS = ("task", "args", "kwargs", "options"), ("id", "type")

late_publish_observers: list[Callable[[Mapping[UUID, float]], None]] = []
"""Called in the transaction that publishes rows over `LATE` after they could first be sent, with the lateness in
seconds by saga."""

# The next route after each, so that as many rows are read as there are routes.
ROUTES = """
WITH RECURSIVE routes(route) AS (
    SELECT * FROM (SELECT route FROM {table} WHERE {unsent} ORDER BY route LIMIT 1) AS first
    UNION ALL
    SELECT (SELECT after.route FROM {table} AS after
            WHERE {unsent} AND after.route > routes.route ORDER BY after.route LIMIT 1)
    FROM routes WHERE routes.route IS NOT NULL
)
SELECT route FROM routes WHERE route IS NOT NULL
""".format(table=OutboxMessage._meta.db_table, unsent="published_at IS NULL AND fault IS NULL")


@dataclass(frozen=True)
class Promise:
    """An outbox row that is due."""

    id: int
    kind: str
    name: str
    payload: dict[str, Any]
    route: str
    late: Any
    """The time since it could first be sent, if that is over `LATE`; else None."""

    @property
    def late_seconds(self) -> float:
        """SQLite has no intervals and counts microseconds."""
        return self.late.total_seconds() if isinstance(self.late, timedelta) else (self.late or 0) / 1e6


def find_fault(row: Promise) -> str:
    """Return why a row is no message at all, or nothing."""
    parts = TASK_PARTS if row.kind == Kind.TASK else EVENT_PARTS
    if not isinstance(row.payload, dict):
        return "not a message: the payload is no object"
    missing = [name for name in parts if name not in row.payload]
    return f"not a message: it lacks {', '.join(missing)}" if missing else ""


def pack_messages(
    rows: Sequence[Promise], pack: int = MOST_EVENTS
) -> list[tuple[dict[str, Any], list[Promise]]]:
    """Return the Celery messages of rows: a task as it was written, events of one type up to `pack` in one.

    Events of a choreographed order are acted on as commands are, and travel like them: one by one.
    """
    messages = [(row.payload, [row]) for row in rows if row.kind == Kind.TASK]
    for name, events in group_by(
        lambda row: row.name, (row for row in rows if row.kind == Kind.EVENT)
    ).items():
        size = 1 if "flow" in events[0].payload else pack
        messages += [
            (events_message(name, [row.payload for row in some]), list(some))
            for some in split_chunks(events, size)
        ]
    return messages


def due_rows() -> QuerySet[OutboxMessage, Any]:
    """The rows that could be sent now; those that are set aside are not among them."""
    return OutboxMessage.objects.filter(UNSENT, due_at__lte=Now())


@cached_sql
def select_any_due() -> QuerySet[OutboxMessage, Any]:
    """The statement of `has_due_rows`."""
    return due_rows().values("pk")[:1]


@cached_sql
def select_due(limit: int) -> QuerySet[OutboxMessage, Any]:
    """The statement of `lock_due_rows` while no route is held."""
    return lock_rows(due_rows().order_by("due_at", "id"), limit)


@cached_sql
def select_due_on_route(route: str, limit: int) -> QuerySet[OutboxMessage, Any]:
    """The statement of `lock_due_rows` for one route.

    A range of one route, so that only the index on routes gives this order.
    """
    of_route = due_rows().filter(route__gte=route, route__lte=route)
    return lock_rows(of_route.order_by("route", "due_at", "id"), limit)


def lock_rows(rows: QuerySet[OutboxMessage, Any], limit: int) -> QuerySet[OutboxMessage, Any]:
    ours = rows.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
    waited = ExpressionWrapper(Now() - F("due_at"), output_field=models.DurationField())
    late = Case(When(due_at__lt=Now() - LATE, then=waited), default=None)
    return ours.annotate(late=late).values_list(*COLUMNS, "late")[:limit]


def has_due_rows() -> bool:
    """Whether a row waits to be published: one cheap statement, outside any transaction."""
    return bool(functions.fetch_all(*select_any_due()))


def lock_due_rows(publisher: Publisher, limit: int) -> tuple[list[Promise], bool]:
    """Lock and return due rows, except those that another relay has locked; and whether there are more.

    They are the oldest `limit`. If there are more, a share of each route that has none among them is added: behind the
    rows that a queue left when it took nothing, all others would wait. Of a route that is held, no rows; one row, when
    it is time to probe it.
    """
    if not publisher.held:
        found = functions.fetch_all(*select_due(limit))
        full = len(found) == limit
        if full:
            found += lock_shares(read_routes() - {route for *_, route, _ in found}, limit)[0]
    else:
        routes = read_routes()
        found, full = lock_shares(routes - publisher.held, limit)
        if publisher.probe_is_due:
            for route in sorted(routes & publisher.held):
                found += functions.fetch_all(*select_due_on_route(route, 1))
    rows = [
        Promise(id, kind, name, decode(payload), route, late)
        for id, kind, name, payload, route, late in found
    ]
    return rows, full


def read_routes() -> set[str]:
    """The routes of the rows that are not sent."""
    return {route for (route,) in functions.fetch_all(ROUTES)}


def lock_shares(routes: Collection[str], limit: int) -> tuple[list[tuple[Any, ...]], bool]:
    """Lock and return up to `limit` due rows, as many of each route, the oldest first; and whether there are more."""
    share = max(1, limit // max(1, len(routes)))
    parts = [functions.fetch_all(*select_due_on_route(route, share)) for route in sorted(routes)]
    return [row for part in parts for row in part], any(len(part) == share for part in parts)


def publish_batch(publisher: Publisher, limit: int) -> int:
    """Publish due rows, as `lock_due_rows` takes them; return how many were found, or `limit` if there may be more.

    The rows stay locked until the broker confirmed them, so two relays never send the same row. After a crash it is
    sent twice: barrier and inbox recognise the repeat.
    """
    began = time.monotonic()
    with transaction.atomic():
        rows, full = lock_due_rows(publisher, limit)
        if not rows:
            return 0
        faults = {row.id: fault for row in rows if (fault := find_fault(row))}
        sent = send_rows(publisher, [row for row in rows if row.id not in faults], faults)
        reach(Point.RELAYED)
        # A row that a crash brings back is only sent again.
        functions.disable_synchronous_commit()
        tell_late([row for row in sent if row.late], time.monotonic() - began)
        # A sent command is deleted; an event stays for readers that must catch up (rule 20, the feed).
        published = [SimpleNamespace(id=r.id, published_at=Now()) for r in sent if r.kind == Kind.EVENT]
        bulk.execute(
            *bulk.delete_statement(OutboxMessage, [r.id for r in sent if r.kind == Kind.TASK]),
            *bulk.update_statement(OutboxMessage, published, ["published_at"]),
        )
        if len(sent) < len(rows):
            settle_unsent(rows, {row.id for row in sent}, faults)
    for kind in Kind:
        metrics.PUBLISHED.labels(kind.value).inc(sum(r.kind == kind for r in sent))
    return limit if full else len(rows)


def send_rows(publisher: Publisher, rows: Sequence[Promise], faults: dict[int, str]) -> list[Promise]:
    """Publish rows and return those that the broker took; add to `faults` why others can never be sent, by their ids.

    If events that travel together cannot be sent, each is tried alone.
    """
    sent: list[Promise] = []
    for pack in (MOST_EVENTS, 1):
        messages = pack_messages(rows, pack)
        sending = [message for message, _ in messages]
        with trace_messages(sending):
            taken = publisher.publish(sending)
        sent += [row for i, (_, some) in enumerate(messages) if i in taken for row in some]
        failed = [(fault, messages[i][1]) for i, fault in publisher.faults.items()]
        faults.update({some[0].id: fault for fault, some in failed if len(some) == 1})
        rows = [row for _, some in failed if len(some) > 1 for row in some]
        if not rows:
            break
    return sent


def settle_unsent(rows: Sequence[Promise], sent: set[int], faults: Mapping[int, str]) -> None:
    """Set aside what can never be sent. All else stays as it is; a row of an older version gets its route."""
    left = [row for row in rows if row.id not in sent and row.id not in faults]
    metrics.UNPUBLISHED.inc(len(left))
    for row in rows:
        if fault := faults.get(row.id):
            log.error("an outbox row cannot be sent: it is set aside", row=row.id, name=row.name, fault=fault)
            OutboxMessage.objects.filter(pk=row.id).update(fault=fault[:MAX_FAULT])
    routed = [SimpleNamespace(id=row.id, route=find_row_route(row)) for row in left if not row.route]
    bulk.update(OutboxMessage, routed, ["route"])


def find_row_route(row: Promise) -> str:
    return find_route(row.payload) if row.kind == Kind.TASK else events_route(row.name)


def tell_late(rows: Sequence[Promise], since: float) -> None:
    """Tell the observers of sagas whose rows were published late; an observer that fails does not hold the rows up.

    Args:
        since: seconds since the lateness of the rows was read.
    """
    if not (rows and late_publish_observers):
        return
    sagas = dict(
        OutboxMessage.objects.filter(id__in=[row.id for row in rows], saga__isnull=False).values_list(
            "id", "saga"
        )
    )
    late: dict[UUID, float] = {}
    for row in rows:
        if saga := sagas.get(row.id):
            late[saga] = max(late.get(saga, 0.0), row.late_seconds + since)
    for observe in late_publish_observers if late else ():
        try:
            with transaction.atomic():
                observe(late)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            log.exception("sagas could not be told that they were published late", sagas=len(late))
