"""Outbox rows that cannot be sent stand among the dead letters: those of all services, whatever their broker refused.

A duty of the relay asks each service for them. To send one again, or to dismiss it, is the service's own act.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction

from celery_config.common.isolation import run_isolated
from celery_config.common.service_calls import name_caller
from celery_config.common.services import SERVICES
from celery_config.db.functions import Now
from celery_config.errors import show_error
from celery_config.http.service_client import ServiceCallError, ServiceClient, deadline, read_answer
from celery_config.messaging.database_gate import DATABASE_AWAY
from celery_config.messaging.models import SET_ASIDE, OutboxMessage
from celery_config.messaging.outbox.set_aside import MOST_SETTLED, settle_set_aside
from celery_config.saga.dead_letters.letter import Letter, sanitize_json, sanitize_text
from celery_config.saga.dead_letters.reader import insert_letters
from celery_config.saga.models import SET_ASIDE_REASON, DeadLetter, LetterAct

log = structlog.get_logger(__name__)
SECONDS = 5.0
"""That a service has to answer."""
MOST_ROWS = 1000
"""Of one service; what it sets aside beyond them comes when these are dealt with."""
CONSEQUENCE = "kept: its service has set it aside"
SETTLED_THERE = "its service has settled it"
OUTBOX = " outbox"


@dataclass(frozen=True)
class ToldRow:
    """A row as its service tells it."""

    id: int
    kind: str
    name: str
    saga: UUID | None
    payload: Any
    fault: str


def take_set_aside() -> None:
    """Keep what each service has set aside, and note what it has settled itself. A silent one is asked later."""
    for service in SERVICES:
        try:
            rows = read_rows(service)
        except ServiceCallError as error:
            log.warning("it is not known what a service has set aside", service=service, error=str(error))
        else:
            keep_rows(service, rows)


def read_rows(service: str) -> list[ToldRow]:
    """Return the rows that a service has set aside, the oldest first.

    Raises:
        ServiceCallError: it does not answer.
    """
    if service == settings.SERVICE:
        rows = OutboxMessage.objects.filter(SET_ASIDE).order_by("pk")[:MOST_ROWS]
        return [ToldRow(row.pk, row.kind, row.name, row.saga, row.payload, row.fault or "") for row in rows]
    found: list[ToldRow] = []
    with deadline.hold(SECONDS):
        for page in ServiceClient(service, SECONDS).get_pages("/api/outbox/set-aside/?limit=100"):
            found += read_answer(service, list[ToldRow], page)
            if len(found) >= MOST_ROWS:
                break
    return found


def keep_rows(service: str, rows: Sequence[ToldRow]) -> None:
    """Keep a letter for each row that has none; dismiss those of rows that are not set aside any more."""
    ids = {name_row(service, row.id): row for row in rows}
    with transaction.atomic():
        standing = DeadLetter.objects.filter(
            reason=SET_ASIDE_REASON, queue=name_outbox(service), dealt_with_at__isnull=True
        )
        known = set(standing.values_list("task_id", flat=True))
        if len(rows) < MOST_ROWS and (gone := known - ids.keys()):
            standing.filter(task_id__in=gone).update(
                act=LetterAct.DISMISS,
                dealt_with_at=Now(),
                dealt_with_by=name_caller(service),
                dealt_with_why=SETTLED_THERE,
            )
    fresh = [row for task_id, row in ids.items() if task_id not in known]
    run_isolated(fresh, partial(insert_rows, service), partial(log_unkept, service), passed_on=DATABASE_AWAY)


@transaction.atomic
def insert_rows(service: str, rows: Sequence[ToldRow]) -> int:
    insert_letters([make_letter(service, row) for row in rows], [CONSEQUENCE] * len(rows))
    return len(rows)


def log_unkept(service: str, row: ToldRow, error: Exception) -> None:
    log.error("a row that a service has set aside cannot be kept", service=service, error=show_error(error))


def make_letter(service: str, row: ToldRow) -> Letter:
    """Return a row as a letter; its body is what a message of it would hold."""
    payload = row.payload if isinstance(row.payload, dict) else {}
    is_task = row.kind == OutboxMessage.Kind.TASK
    args, kwargs = (payload.get("args"), payload.get("kwargs")) if is_task else ([], row.payload)
    content = sanitize_json(kwargs) if isinstance(kwargs, dict) else {}
    return Letter(
        reason=SET_ASIDE_REASON,
        queue=name_outbox(service),
        task=sanitize_text(row.name)[:200],
        task_id=name_row(service, row.id),
        saga=row.saga,
        step=str(content.get("step", ""))[:80],
        operation=str(content.get("operation", ""))[:20],
        flow="",
        fault=sanitize_text(row.fault)[:300],
        headers={},
        body=sanitize_text(json.dumps([args, kwargs, {}])),
        event_sagas=frozenset(),
    )


def name_outbox(service: str) -> str:
    return f"{service}{OUTBOX}"


def name_row(service: str, row: int) -> str:
    return f"{service}/{row}"


Done = tuple[DeadLetter, str, str]


def settle(act: str, letters: Sequence[DeadLetter], *, by: str, why: str) -> Iterable[Done]:
    """Have rows of one service sent again or dismissed; yield each letter with why not, and with what was done."""
    service = letters[0].queue.removesuffix(OUTBOX)
    ids = {int(each.task_id.rpartition("/")[2]): each for each in letters}
    settled: set[int] = set()
    refusal = f"it is not set aside at {service} any more"
    try:
        for start in range(0, len(ids), MOST_SETTLED):
            settled |= call_service(service)([*ids][start : start + MOST_SETTLED], act, by=by, why=why)
    except ServiceCallError as error:
        refusal = str(error)
    for pk, letter in ids.items():
        done = pk in settled
        yield letter, "" if done else refusal, f"{service} was told: {act}"


def call_service(service: str) -> Callable[..., set[int]]:
    if service == settings.SERVICE:
        return lambda ids, act, **who: set(settle_set_aside(ids, act, **who))

    def call(ids: list[int], act: str, **who: str) -> set[int]:
        client = ServiceClient(service, SECONDS)
        answer = client.post("/api/outbox/set-aside/", {"act": act, "ids": ids, **who})
        return read_answer(service, SettledRows, answer).settled

    return call


@dataclass(frozen=True)
class SettledRows:
    settled: set[int]
