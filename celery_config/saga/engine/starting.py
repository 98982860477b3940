"""Saga start: a saga's rows, its outbox row and its subject's row are written together or not (rule 1, the start)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet

from celery_config.common.correlation import read_origin
from celery_config.contracts.base import encode
from celery_config.db import bulk
from celery_config.db.bulk import Statement
from celery_config.db.functions import cached_sql, parse_time
from celery_config.errors import ChainTooLarge, SagaPaused
from celery_config.messaging import epochs
from celery_config.messaging.outbox import writing
from celery_config.saga.dsl import Saga
from celery_config.saga.engine import clock
from celery_config.saga.engine.chains import ChainBuilder
from celery_config.saga.engine.flows import schedule_check
from celery_config.saga.engine.machine import Drive, first_status
from celery_config.saga.models import SagaInstance, SagaPause, SagaStep

SAGA_COLUMNS = (
    "id", "name", "version", "subject", "status", "data", "cause", "attempt", "drives",
    "deadline_at", "since", "due_at", "request_id", "traceparent",
)  # fmt: skip
STEP_COLUMNS = ("saga", "name", "position", "kind", "command", "logged")


def start_sagas(saga: type[Saga], wanted: Sequence[tuple[UUID, Any]]) -> list[UUID]:
    """Write sagas in the caller's transaction, which also writes their subject's row; return their ids.

    Args:
        wanted: the subject and data of each.

    Raises:
        SagaPaused, Recovering, ChainTooLarge: nothing was written.
    """
    prepared = prepare_starts(saga, wanted)
    started: list[UUID] = []
    for outcome in prepared.outcomes:
        if isinstance(outcome, ChainTooLarge):
            raise outcome
        started.append(outcome)
    bulk.execute(*prepared.statements)
    return started


@dataclass(frozen=True)
class PreparedStarts:
    """The id of each saga, or why it cannot start; and the statements, not yet executed, that write the others."""

    outcomes: list[UUID | ChainTooLarge]
    statements: list[Statement]


def prepare_starts(saga: type[Saga], wanted: Sequence[tuple[UUID, Any]]) -> PreparedStarts:
    """Return the statements that start sagas: their rows, their steps, and one outbox row each for the whole chain.

    Args:
        wanted: the subject and data of each.

    Raises:
        SagaPaused, Recovering: none can start.
    """
    now, origin = read_time_unless_paused(saga), read_origin()
    instances: list[SagaInstance] = []
    chains: list[tuple[UUID, dict[str, Any]]] = []
    outcomes: list[UUID | ChainTooLarge] = []
    for subject, data in wanted:
        row = SagaInstance(name=saga.name, version=saga.version, subject=str(subject), data=encode(data))
        row.request_id, row.traceparent = origin.request_id, origin.traceparent
        row.status = first_status(saga).value
        row.since = now
        row.deadline_at = now + timedelta(seconds=settings.TIMES.deadline(saga.deadline))
        schedule_check(row, now)
        try:
            builder = ChainBuilder(
                saga, row.pk, row.data, attempt=0, keys=settings.MESSAGE_KEYS, origin=origin
            )
            chain = builder.build(Drive(saga.steps[0].name))
        except ChainTooLarge as error:
            outcomes.append(error)
            continue
        instances.append(row)
        chains.append((row.pk, chain))
        outcomes.append(row.pk)
    steps = [
        SimpleNamespace(
            saga_id=row.pk, logged="", name=s.name, position=i, kind=s.kind, command=s.command.wire_name()
        )
        for row in instances
        for i, s in enumerate(saga.steps)
    ]
    statements = [
        *bulk.insert_statement(SagaInstance, instances, SAGA_COLUMNS),
        *bulk.insert_statement(SagaStep, steps, STEP_COLUMNS),
        *writing.task_statements(chains),
    ]
    return PreparedStarts(outcomes, statements)


def read_time_unless_paused(saga: type[Saga]) -> datetime:
    """The present saga time; one query also asks for pauses, and whether the database is being recovered.

    Raises:
        SagaPaused: sagas of this kind are paused.
        Recovering: nothing starts until `recover` is done.
    """
    steps = tuple(step.name for step in saga.steps)
    query, values = pause_query(saga.name, steps)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT ({clock.ASK}), EXISTS ({query}), {epochs.IS_RECOVERING}", values)
        (now, paused, recovering) = cursor.fetchone()
    if recovering:
        epochs.check_not_recovering()
    if paused and (pause := find_pauses(saga.name, steps).first()):
        raise SagaPaused(f"{pause}, since {pause.since:%Y-%m-%d %H:%M} UTC: {pause.why}")
    return parse_time(now) if now else clock.start()


def find_pauses(saga: str, steps: tuple[str, ...]) -> QuerySet[SagaPause]:
    return SagaPause.objects.filter(Q(saga=saga) | Q(step__in=steps))


@cached_sql
def pause_query(saga: str, steps: tuple[str, ...]) -> QuerySet[SagaPause, Any]:
    """The SQL that finds a pause."""
    return find_pauses(saga, steps).values("pk")[:1]
