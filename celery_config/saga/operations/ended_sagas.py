"""The audit of ended sagas: an end is what the barriers say of each step, and the saga log says the same.

A saga that runs, for however many days, is not judged: it has not ended. Nor is one that began so long ago that its
barrier rows may be deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from celery_config.common.identifiers import min_uuid7_at
from celery_config.messaging.barrier.store import MOST_SAGAS
from celery_config.messaging.states import Action, Undo
from celery_config.saga.course import Held
from celery_config.saga.dsl import Saga, find_saga
from celery_config.saga.models import SagaInstance
from celery_config.saga.operations.barrier_client import read_barriers_of_many
from celery_config.saga.states import ENDED, Status, StepState

GRACE = timedelta(minutes=1)
"""So long after the end the events of the last steps may be on their way to the log."""


@dataclass
class EndedSagas:
    """What the audit found of ended sagas."""

    checked: int = 0
    findings: list[str] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    """The participants that did not answer; what they would say is not checked."""


def check_ended(without: Collection[str] = ()) -> EndedSagas:
    """Compare every saga that has ended, of each definition of this release, with what its participants say.

    Args:
        without: the names of sagas that are left out.
    """
    found, now = EndedSagas(), timezone.now()
    for rows in iterate_ended(without, now):
        known = [(row, saga) for row in rows if (saga := find_saga(row.name, row.version))]
        barriers = read_barriers(known, found.silent)
        for row, saga in known:
            held = {
                step.name: barriers[step.command.service].get(row.id, {}).get(step.name)
                for step in saga.steps
                if step.command.service in barriers
            }
            log = None
            if row.ended_at and row.ended_at < now - GRACE:
                log = {step.name: StepState(step.logged) for step in row.steps.all()}
            found.checked += 1
            found.findings += [
                f"{saga.noun} {row.subject} (saga {row.id}) is {row.status}, but {fault}"
                for fault in find_faults(saga, Status(row.status), held, log)
            ]
    return found


def iterate_ended(without: Collection[str], now: datetime) -> Iterator[Sequence[SagaInstance]]:
    """Yield the ended sagas whose barrier rows are kept, as many at once as a participant answers for."""
    ended = SagaInstance.objects.filter(status__in=[each.value for each in ENDED]).exclude(name__in=without)
    after = min_uuid7_at(now - timedelta(days=settings.SAGA_RETENTION_DAYS))
    while rows := list(ended.filter(pk__gt=after).order_by("pk").prefetch_related("steps")[:MOST_SAGAS]):
        yield rows
        after = rows[-1].pk


def read_barriers(
    known: Sequence[tuple[SagaInstance, type[Saga]]], silent: set[str]
) -> dict[str, Mapping[UUID, Mapping[str, Held]]]:
    """Return the barrier rows of these sagas by participant; one without an answer is noted, and not asked again."""
    asked: dict[str, list[UUID]] = {}
    for row, saga in known:
        for service in {step.command.service for step in saga.steps} - silent:
            asked.setdefault(service, []).append(row.id)
    found: dict[str, Mapping[UUID, Mapping[str, Held]]] = {}
    for service, ids in asked.items():
        answer = read_barriers_of_many(service, ids)
        if answer is None:
            silent.add(service)
        else:
            found[service] = answer
    return found


def find_faults(
    saga: type[Saga], status: Status, held: Mapping[str, Held | None], log: Mapping[str, StepState] | None
) -> Iterator[str]:
    """Yield what contradicts the end of a saga.

    Args:
        held: by step, what its participant's barrier says; a step of one that does not answer is left out.
        log: by step, what the saga log says; None: it may not know all yet.
    """
    completed = status is Status.COMPLETED
    for step in saga.steps:
        row, logged = held.get(step.name), (log or {}).get(step.name, StepState.NOTHING)
        fits = is_done(row) if completed else not remains(row)
        if step.name in held and not fits:
            yield f"{step.command.service} says of {step.name}: {row or 'nothing'}"
        if log is not None and (logged is StepState.DONE) is not completed:
            yield f"the saga log says of {step.name}: {logged or 'nothing'}"


def is_done(row: Held | None) -> bool:
    return row is not None and row.action is Action.DONE and row.undo is Undo.NONE


def remains(row: Held | None) -> bool:
    """Whether something of a step is there, or may be."""
    return row is not None and row.action in (Action.DONE, Action.INTENT) and row.undo is not Undo.DONE
