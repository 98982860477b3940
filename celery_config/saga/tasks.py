"""What comes back to the orchestrator: errbacks, the ends of chains, the fence's word, and the saga's events."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from celery import Task

from celery_config.messaging.events import Envelope, subscribes
from celery_config.messaging.steps import PIVOT_RAN
from celery_config.messaging.tasks import durable_task
from celery_config.saga import runner
from celery_config.saga.chains import COMPENSATED, COMPLETE, STEP_FAILED
from celery_config.saga.dsl import Kind, Saga
from celery_config.saga.machine import Logged, PivotRan, StepFailed, StepLogged


@durable_task(STEP_FAILED, exhausted="dead letter")
def step_failed(task: Task, *, saga: str, step: str, operation: str, attempt: int) -> None:
    """The `link_error` of every link."""
    structlog.contextvars.bind_contextvars(saga=saga, step=step, operation=operation)
    cause = {"step": step, "code": "step_failed", "reason": f"{step or operation} failed"}
    runner.receive(UUID(saga), StepFailed(step, operation), cause=cause)


@durable_task(COMPLETE, exhausted="dead letter")
def complete(task: Task, replies: dict[str, Any], *, saga: str, step: str, attempt: int) -> None:
    """The last link of every chain of actions."""
    structlog.contextvars.bind_contextvars(saga=saga)
    runner.complete(UUID(saga), replies)


@durable_task(COMPENSATED, exhausted="dead letter")
def compensated(
    task: Task, replies: dict[str, Any], *, saga: str, step: str, attempt: int, incomplete: bool
) -> None:
    """The last link of every stop chain."""
    structlog.contextvars.bind_contextvars(saga=saga)
    runner.compensated(UUID(saga), replies, incomplete=incomplete)


@durable_task(PIVOT_RAN, exhausted="dead letter")
def pivot_ran(task: Task, *, saga: str, step: str, reply: dict[str, Any]) -> None:
    """A fence found that the pivot ran."""
    structlog.contextvars.bind_contextvars(saga=saga)
    runner.merge(UUID(saga), step, Logged.DONE, reply)
    runner.receive(UUID(saga), PivotRan())


@subscribes("*", once=False)  # merging is monotone: a repeat changes nothing
def write_saga_log(data: dict[str, Any], envelope: Envelope) -> None:
    """Merge a participant's event into the saga log; the pivot's turns the saga forward (rules 13, 16)."""
    if envelope.saga is None or not envelope.step:
        return
    if envelope.outcome == "failed":
        runner.note_failure(envelope.saga, envelope.step, envelope.operation, data)
        return
    outcome = Logged(envelope.outcome)
    changed = runner.merge(envelope.saga, envelope.step, outcome, data)
    if changed and outcome is Logged.DONE and envelope.step in pivot_names():
        runner.receive(envelope.saga, StepLogged(envelope.step, outcome))


def pivot_names() -> set[str]:
    return {s.name for saga in Saga.registry.values() for s in saga.steps if s.kind is Kind.PIVOT}
