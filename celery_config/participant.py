"""What a participant's `tasks.py` is written with.

    @handles(ReserveStock)
    def reserve_stock(command: ReserveStock) -> StockReserved:
        return services.reserve_stock(...)

makes the Celery task `inventory.reserve_stock`: its message is decoded, the barrier asked, the service run
and its event written in one transaction; the reply travels on along the chain. `handles_outside` is the form
for an effect at a provider. Every participant also gets the task `SERVICE.fence`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import structlog
from celery import Task, current_app
from celery.exceptions import Ignore

from celery_config import metrics
from celery_config.errors import DefinitionError, Refused, StepOutlived, Unknown
from celery_config.messages import Command, Reply, StepGaveUp, decode
from celery_config.messaging import outside, steps
from celery_config.messaging.outside import FindHandler
from celery_config.messaging.steps import Handler, OutsideStep, Step
from celery_config.messaging.tasks import durable_task

log = structlog.get_logger(__name__)
handlers: dict[str, Handler] = {}


def handles(command: type[Command]) -> Callable[[Callable[[Any], Reply | None]], Task]:
    """Register the function as the handler of `command`, for an effect in this service's own database.

    It gets the decoded command and returns the reply (an undo returns None). To refuse, it raises `Refused`.
    """
    return lambda function: register(Handler(command, local=function))


def handles_outside(command: type[Command]) -> Callable[[type[OutsideStep]], type[OutsideStep]]:
    """Register the class (`request`, `call`, `settle`) as the handler of `command`, for an effect at a provider."""

    def decorate(cls: type[OutsideStep]) -> type[OutsideStep]:
        register(Handler(command, outside=cls()))
        return cls

    return decorate


def registered() -> FindHandler:
    """What finds a handler by its command's name, in a process that is no worker.

    Handlers register themselves when the tasks are imported, which a web process has no other reason for.
    """
    current_app.loader.import_default_modules()
    return handlers.get


def register(handler: Handler) -> Task:
    name = handler.command.wire_name()
    if name in handlers:
        raise DefinitionError(f"{name} has two handlers; a command has one")
    handlers[name] = handler

    @durable_task(name, throws=(Refused, StepOutlived), exhausted="errback", on_exhausted=announce_giving_up)
    def run(
        task: Task,
        replies: dict[str, Any],
        *,
        saga: str,
        step: str,
        operation: str,
        attempt: int,
        command: dict[str, Any],
        needs: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Carry out one step; `needs` says which field of the command comes from which step's reply."""
        structlog.contextvars.bind_contextvars(saga=saga, step=step, operation=operation)
        fields = command | {name: replies[source][name] for name, source in (needs or {}).items()}
        decoded = decode(handler.command, fields)
        message = Step(UUID(saga), step, operation, decoded.subject, decoded)
        structlog.contextvars.bind_contextvars(order=decoded.subject)
        with observed(handler.command.wire_name(), attempt):
            if operation == "undo":
                outside.undo(handler, message, handlers.get)
                return with_refusal(replies, message)
            carry_out = outside.act if handler.outside else steps.act
            return replies | {step: carry_out(handler, message)}

    return run


def with_refusal(replies: dict[str, Any], step: Step) -> dict[str, Any]:
    """Add why the step was refused, if it was, to what the stop chain brings to the orchestrator."""
    refusal = steps.refusal_of(step)
    return replies | {step.name: refusal} if refusal else replies


def announce_giving_up(task: Task, error: Exception) -> None:
    """Tell the saga log why; the errback itself carries no reason."""
    kwargs = task.request.kwargs
    step = Step(UUID(kwargs["saga"]), kwargs["step"], kwargs["operation"], "")
    code = "unknown_outcome" if isinstance(error, Unknown) else "error"
    steps.announce(step, StepGaveUp(code=code, reason=str(error)[:500]), "failed")


def register_fence(service: str) -> Task:
    """Register `SERVICE.fence`, which settles whether a pivot of this participant ran (rule 13)."""

    @durable_task(f"{service}.fence", exhausted="errback")
    def fence(
        task: Task, replies: dict[str, Any], *, saga: str, step: str, attempt: int, pivot: str, subject: str
    ) -> dict[str, Any]:
        structlog.contextvars.bind_contextvars(saga=saga, step=step, operation="fence", order=subject)
        if pivot not in handlers:
            raise DefinitionError(f"{service} was asked to fence {pivot}, which it does not handle")
        with observed(f"{service}.fence", attempt):
            message = Step(UUID(saga), step, "do", subject)
            if outside.fence(message, pivot, handlers.get):
                raise Ignore
            return with_refusal(replies, message)

    return fence


@contextmanager
def observed(command: str, attempt: int) -> Iterator[None]:
    """Time the step and log how it ended."""
    began = time.perf_counter()
    outcome, detail = "done", ""
    try:
        yield
    except Refused as refusal:
        outcome, detail = "refused", str(refusal)
        raise
    except StepOutlived:
        outcome = "outlived"
        raise
    except Ignore:
        outcome = "pivot ran"
        raise
    except Exception as error:
        outcome, detail = "failed", repr(error)
        raise
    finally:
        seconds = time.perf_counter() - began
        metrics.STEP_SECONDS.labels(command, outcome).observe(seconds)
        log.info(
            outcome, ms=round(seconds * 1000, 1), attempt=attempt, **({"detail": detail} if detail else {})
        )
