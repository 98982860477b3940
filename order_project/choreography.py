"""Choreographed orders: where they stand by what is heard of them, and how they are stopped (rule 22).

Nobody orchestrates them. The order service says that an order was placed, and each service's `subscriptions.py` says
what it does about what it hears. Where an order stands follows from the events that were seen of it
(`domain.standing`); the order service owns its due row, since it started the flow, and says again what a broker or a
crash may have swallowed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction

from celery_config.common import metrics
from celery_config.common.grouping import group_by as grouped
from celery_config.contracts.base import Event, StepGaveUp, decode, encode
from celery_config.contracts.order import OrderPlaced, OrderWithdrawn
from celery_config.db import bulk
from celery_config.messaging.inbox.subscriptions import Received
from celery_config.messaging.outbox import writing
from celery_config.saga.engine import clock, scheduling
from celery_config.saga.engine.parking import unpark
from celery_config.saga.states import ENDED, OPEN, Status
from order_project import domain, parking, services
from order_project.announcing import next_look, say
from order_project.models import Choreography, SeenEvent

log = structlog.get_logger(__name__)
CHANGING = (
    "status", "cause", "failure", "attempt", "drives", "since", "due_at", "owner", "answer_by", "fingerprint",
)  # fmt: skip


def hear(received: Sequence[Received]) -> None:
    """Keep what was seen of choreographed orders, and let them stand where that puts them."""
    of_orders = [each for each in received if each.envelope.flow and each.envelope.saga]
    # Of whom was forgotten nobody says anything any more, and nothing more is heard.
    known = {row.pk: row for row in locked(each.envelope.saga for each in of_orders) if row.placed}
    news = [each for each in of_orders if each.envelope.saga in known]
    for each in news:
        if isinstance(each.data, StepGaveUp):
            row = known[each.envelope.saga]
            row.failure = {
                "step": each.envelope.step,
                "operation": each.envelope.operation,
                **encode(each.data),
            }
            row.save(update_fields=["failure"])
    see((each.envelope.saga, each.data) for each in news if not isinstance(each.data, StepGaveUp))
    stand(list(known.values()))


def see(said: Iterable[tuple[UUID | None, Event]]) -> None:
    """Keep events; one that was seen is passed over."""
    made = {
        (order, event.wire_name()): SeenEvent(
            choreography_id=order, kind=event.wire_name(), content=plain_values(event)
        )
        for order, event in said
    }
    bulk.insert_new(SeenEvent, list(made.values()), ("choreography", "kind", "content"), returning="kind")


def plain_values(event: Event) -> dict[str, Any]:
    """What it says, but for what only the next service needs: lines and addresses."""
    return {
        name: value for name, value in encode(event).items() if not isinstance(value, list | tuple | dict)
    }


def locked(orders: Iterable[UUID | None]) -> list[Choreography]:
    """The rows of these orders, locked in the one order."""
    wanted = set(orders)
    if not wanted:
        return []
    return list(Choreography.objects.select_for_update().filter(pk__in=wanted).order_by("pk"))


def stand(found: Sequence[Choreography]) -> None:
    """Let the locked rows stand where what was seen of their orders puts them, and end what has come to its end."""
    if not found:
        return
    now, moved = clock.now(), []
    for row, seen in zip(found, seen_of(found), strict=True):
        status = domain.standing(seen)
        if row.status in ENDED or status == row.status:
            continue
        if row.status == Status.PARKED and status not in ENDED:
            continue
        enter(row, status, now, seen)
        if status in (Status.STOPPING, Status.COMPENSATED):
            row.cause = domain.cause_of(seen)
        elif status is Status.COMPLETED:
            row.cause = {}
        if status is Status.FORWARD and domain.COLLECTED not in seen:
            row.due_at = now + timedelta(seconds=settings.TIMES.soon_after(0))
        moved.append((row, seen))
    bulk.update(Choreography, [row for row, _ in moved], CHANGING)
    end([Moved(decode(OrderPlaced, row.placed), row, seen) for row, seen in moved])


def seen_of(found: Sequence[Choreography]) -> list[dict[str, dict[str, Any]]]:
    """The contents of what was seen of each, by kind."""
    said = SeenEvent.objects.filter(choreography__in=[row.pk for row in found])
    of = grouped(lambda each: each[0], said.values_list("choreography", "kind", "content"))
    return [{kind: content for _, kind, content in of.get(row.pk, ())} for row in found]


@dataclass(frozen=True)
class Moved:
    """An order that stands elsewhere now."""

    placed: OrderPlaced
    row: Choreography
    seen: Mapping[str, Mapping[str, Any]]


def end(moved: Sequence[Moved]) -> None:
    """Confirm and cancel orders, in the transaction that sees their ends."""
    ended = grouped(lambda each: str(each.row.status), moved)
    if completed := ended.get(Status.COMPLETED):
        services.confirm_orders([(each.placed, each.seen) for each in completed])
    if compensated := ended.get(Status.COMPENSATED):
        services.cancel_orders([(each.placed, each.row.cause) for each in compensated])
    for status in ENDED:
        metrics.SAGAS_ENDED.labels(parking.NAME, status.value).inc(len(ended.get(status, ())))
    for each in moved:
        log.info("choreographed order stands", order=str(each.placed.order), status=each.row.status)


def enter(row: Choreography, status: Status, now: datetime, seen: parking.Seen) -> None:
    row.status, row.since, row.drives = status.value, now, 0
    row.due_at = next_look(row, now) if status in OPEN else None
    if status is Status.PARKED:
        parking.park(row, seen)
    else:
        unpark(row)


@transaction.atomic
def stop(order: UUID, *, code: str, reason: str) -> Status:
    """Withdraw an order, unless it is too late, or is being undone already; return where it stands afterwards."""
    (row,) = locked([order])
    if row.status == Status.RUNNING:
        withdraw(row, code=code, reason=reason)
    return Status(row.status)


def withdraw(row: Choreography, *, code: str, reason: str) -> None:
    """Say that the locked row's order shall not be; payment says whether it is too late."""
    event = OrderWithdrawn(order=row.pk, code=code, reason=reason)
    see([(row.pk, event)])
    writing.add_events([say(event)])
    stand([row])


def say_again(row: Choreography) -> None:
    """Say once more what was said last of the locked row's order; the caller saves the row."""
    row.attempt += 1
    row.drives += 1
    metrics.REDRIVES.labels(row.status).inc()
    if row.status == Status.STOPPING:
        (seen,) = seen_of([row])
        cause = domain.cause_of(seen)
        event = OrderWithdrawn(order=row.pk, code=cause.get("code", ""), reason=cause.get("reason", ""))
        writing.add_events([say(event, row.attempt)])
    else:
        writing.add_events([say(decode(OrderPlaced, row.placed), row.attempt)])
    row.due_at = next_look(row, clock.now())


def look_soon(orders: Collection[UUID]) -> set[UUID]:
    """Have orders looked at before long, of which something was lost; return those that are choreographed here."""
    found, now = locked(orders), clock.now()
    for row in found:
        if row.status in OPEN:
            soon = now + timedelta(seconds=settings.TIMES.soon_after(row.drives))
            row.due_at = scheduling.earlier_check(row.due_at, now=now, soon=soon)
    bulk.update(Choreography, found, ["due_at"])
    return {row.pk for row in found}
