"""Starting sagas: what writes them, together with whatever must be true with them (rule 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from celery_config.contracts.base import encode
from celery_config.db import bulk
from celery_config.db.bulk import Statement
from celery_config.db.functions import parse_time
from celery_config.errors import ChainTooLarge
from celery_config.messaging.outbox import writing
from celery_config.saga.dsl import Saga
from celery_config.saga.engine import clock, pauses
from celery_config.saga.engine.chains import Chains
from celery_config.saga.engine.flows import schedule_check
from celery_config.saga.engine.machine import first_status
from celery_config.saga.models import SagaInstance, SagaStep

STARTED = (
    "id", "name", "version", "subject", "status", "data", "cause", "attempt", "drives",
    "deadline_at", "since", "due_at",
)  # fmt: skip
PLANNED = ("saga", "name", "position", "kind", "command", "logged")


def start(saga: type[Saga], data: Any, *, subject: UUID) -> UUID:
    """Start one saga; return its id. A part of its caller's transaction, in which the subject's own row is written.

    Raises:
        SagaPaused, ChainTooLarge: nothing was written.
    """
    started = start_all(saga, [(subject, data)])
    (outcome,) = started.outcomes
    if isinstance(outcome, ChainTooLarge):
        raise outcome
    bulk.execute(*started.changes)
    return outcome


@dataclass(frozen=True)
class Started:
    """The id of each saga, or why it cannot be; and what writes those that can, not yet carried out."""

    outcomes: list[UUID | ChainTooLarge]
    changes: list[Statement]


def start_all(saga: type[Saga], wanted: Sequence[tuple[UUID, Any]]) -> Started:
    """Return what starts sagas: their rows, their steps and, for each, the one outbox row that holds its whole chain.

    Args:
        wanted: subject and data of each.

    Raises:
        SagaPaused: none can be started.
    """
    now = time_unless_paused(saga)
    instances: list[SagaInstance] = []
    chains: list[tuple[UUID, dict[str, Any]]] = []
    outcomes: list[UUID | ChainTooLarge] = []
    for subject, data in wanted:
        row = SagaInstance(name=saga.name, version=saga.version, subject=str(subject), data=encode(data))
        row.status = first_status(saga).value
        row.since = now
        row.deadline_at = now + timedelta(seconds=settings.TIMES.deadline(saga.deadline))
        schedule_check(row, now)
        try:
            chain = Chains(saga, row.pk, row.data, attempt=0).drive(saga.steps[0].name, {})
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
    changes = [
        *bulk.insert_statement(SagaInstance, instances, STARTED),
        *bulk.insert_statement(SagaStep, steps, PLANNED),
        *writing.tasks(chains),
    ]
    return Started(outcomes, changes)


def time_unless_paused(saga: type[Saga]) -> datetime:
    """The present saga time, and whether sagas of this kind are held up, asked at once.

    Raises:
        SagaPaused: they are.
    """
    pause, values = pauses.look(saga.name, tuple(step.name for step in saga.steps))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT ({clock.ASK}), EXISTS ({pause})", values)
        (now, paused) = cursor.fetchone()
    if paused:
        pauses.check(saga)
    return parse_time(now) if now else clock.start()
