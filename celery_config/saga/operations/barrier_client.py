"""Client of the participants' barriers: reads their rows, and stores an outcome that an operator found."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Any
from uuid import UUID

import structlog

from celery_config.common.services import SERVICES
from celery_config.contracts.base import Command, contract_fields
from celery_config.errors import OperatorRefused
from celery_config.http.service_client import (
    ServiceCallError,
    ServiceCallRefused,
    ServiceClient,
    deadline,
    read_answer,
)
from celery_config.messaging.states import Action, Undo
from celery_config.saga.course import Answer, Course, Held
from celery_config.saga.dsl import Step

log = structlog.get_logger(__name__)
# A page waits this long; then it shows the service as not answering.
SECONDS = 5.0
MOST_ASKING, PATIENCE = 3, 0.5
"""Threads of a process that ask one service at a time, and the seconds for which another one waits for its turn."""
places: Mapping[str, BoundedSemaphore] = {each: BoundedSemaphore(MOST_ASKING) for each in SERVICES}


@dataclass(frozen=True)
class ToldRow:
    """A barrier row as its participant tells it."""

    saga: UUID
    step: str
    action: Action
    undo: Undo
    reply: dict[str, Any] | None
    note: str


@dataclass(frozen=True)
class Settled:
    """What a participant did about an open intent."""

    settled: str


def read_barriers(steps: Sequence[Step], saga_id: UUID) -> dict[str, Answer]:
    """Return what each participant's barrier says of these steps; None for one that does not answer.

    They are asked in parallel: a page waits for the slowest only.

    Args:
        saga_id: or a choreographed order's id.
    """
    services = list(dict.fromkeys(step.command.service for step in steps))
    with ThreadPoolExecutor(len(services)) as threads:
        answers = threads.map(read_barrier, services, [saga_id] * len(services))
        return dict(zip(services, answers, strict=True))


def read_barrier(service: str, saga_id: UUID) -> Answer:
    found = read_barriers_of_many(service, [saga_id])
    return None if found is None else found.get(saga_id, {})


def read_barriers_of_many(service: str, ids: Collection[UUID]) -> Mapping[UUID, Mapping[str, Held]] | None:
    """Return what a participant's barrier says of many flows, by flow and step; None: it does not answer.

    Args:
        ids: at least one, and at most `messaging.barrier.store.MOST_SAGAS`.
    """
    found: dict[UUID, dict[str, Held]] = {}
    # The filter of one flow is known to older versions, too.
    named = f"saga={next(iter(ids))}" if len(ids) == 1 else f"sagas={','.join(map(str, ids))}"
    path = f"/api/barrier/?{named}&limit=500"
    client = ServiceClient(service, SECONDS)
    try:
        # Over all pages: there may always be a next one.
        with take_place(service), deadline.hold(SECONDS):
            for page in client.get_pages(path):
                for row in read_answer(service, list[ToldRow], page):
                    if row.saga in ids:
                        held = Held(row.action, row.undo, row.reply, row.note)
                        found.setdefault(row.saga, {})[row.step] = held
    except ServiceCallError as error:
        log.warning("a participant does not answer", service=service, error=str(error))
        return None
    return found


@contextmanager
def take_place(service: str) -> Iterator[None]:
    """Ask a service within the block. One that hangs would otherwise take all threads of the web.

    Raises:
        ServiceCallError: so many ask it already that there is no place in time.
    """
    if not places[service].acquire(timeout=PATIENCE):
        raise ServiceCallError(f"enough others wait for {service} already")
    try:
        yield
    finally:
        places[service].release()


def find_command(course: Course, step: str, operation: str) -> type[Command]:
    """Return the command of a step's action, or of its undo.

    Raises:
        OperatorRefused: there is no such step, or no undo of it.
    """
    commands = {each.name: each.undo if operation == "undo" else each.command for each in course.steps}
    command = commands.get(step)
    if command is None:
        raise OperatorRefused(f"step {step!r} has no command for {operation!r}")
    return command


def send_settlement(
    course: Course,
    saga_id: UUID,
    step: str,
    operation: str,
    subject: str,
    answer: dict[str, Any],
    *,
    note: str,
) -> str:
    """Ask a participant to write `answer` over its open intent of a step; return its report.

    Raises:
        OperatorRefused: no such step, no undo of it, or no open intent; the text says which.
        ServiceCallError: it did not answer.
    """
    command = find_command(course, step, operation)
    body = {
        "task": command.wire_name(),
        "saga": str(saga_id),
        "step": step,
        "operation": operation,
        "subject": subject,
        "command": {f.name: course.data[f.name] for f in contract_fields(command) if f.name in course.data},
        "answer": answer,
        "note": note,
    }
    try:
        client = ServiceClient(command.service, SECONDS)
        return read_answer(command.service, Settled, client.post("/api/barrier/settle/", body)).settled
    except ServiceCallRefused as error:
        raise OperatorRefused(str(error)) from error
