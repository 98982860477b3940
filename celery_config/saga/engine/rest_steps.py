"""Steps over REST: our worker runs the link, calls the participant, and answers with the participant's outcome."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

import structlog
from django.utils import timezone

from celery_config.common.correlation import make_http_headers
from celery_config.contracts.base import command_id, encode
from celery_config.failpoints.points import Point, reach
from celery_config.messaging.barrier.failed_tries import describe_error
from celery_config.messaging.deliveries import Call, Delivery, FailedTry, Outcome
from celery_config.messaging.holds.targets import AskedStep
from celery_config.participant.handlers import describe_giving_up
from celery_config.participant.rest_client import participant
from celery_config.saga.engine import refusals, step_tries
from celery_config.saga.engine.chains import CALL
from celery_config.saga.models import StepTry


@dataclass(frozen=True, kw_only=True)
class CallMessage:
    """A link that calls its participant over REST; `message` is what the broker would have carried."""

    saga: UUID
    step: str
    operation: str
    attempt: int
    task: str
    message: dict[str, Any]


def find_step(delivery: Delivery[CallMessage]) -> AskedStep:
    """Name the step that the participant would be asked for; of a fence, that of its pivot."""
    message = delivery.message
    command = message.message.get("pivot", message.task) if message.operation == "fence" else message.task
    return AskedStep(saga=message.saga, command=command, operation=message.operation, step=message.step)


def call_participants(deliveries: Sequence[Delivery[CallMessage]]) -> list[Outcome]:
    """Run each call in a thread of its own."""
    return [Call(functools.partial(call_participant, delivery), unpack_answers) for delivery in deliveries]


def call_participant(delivery: Delivery[CallMessage]) -> Outcome:
    message = delivery.message
    service, _, _ = message.task.partition(".")
    key = f"{message.saga}/{message.step}/{message.operation}"
    with structlog.contextvars.bound_contextvars(task=f"{CALL} {message.task}"):
        reach(Point.BEFORE_CALL)
        answer = participant(service).ask(
            message.task,
            message.message,
            delivery.replies,
            key=key,
            headers=make_http_headers(delivery.request),
        )
        reach(Point.AFTER_CALL)
    return answer


def unpack_answers(answered: Sequence[tuple[Any, Outcome]]) -> list[Outcome]:
    return [answer for _, answer in answered]


def note_try(delivery: Delivery[CallMessage], failed: FailedTry) -> None:
    """Write a failed try of ours to the history; the wait for a participant that is away is no try."""
    if not failed.is_counted:
        return
    message = delivery.message
    code, reason = describe_error(failed.error)
    now, step_id = timezone.now(), command_id(message.saga, message.step, message.operation)
    row = StepTry(
        event=uuid5(step_id, f"called/{message.attempt}/{failed.number}"),
        flow=message.saga,
        step=message.step,
        operation=message.operation,
        number=failed.number,
        code=code,
        reason=reason,
        at=now,
        next_at=now + timedelta(seconds=failed.next_in) if failed.next_in is not None else None,
    )
    step_tries.append([row])


def record_exhaustion(delivery: Delivery[CallMessage], error: Exception) -> None:
    """Write the reason to the saga log, since the errback carries none."""
    message, reason = delivery.message, encode(describe_giving_up(error, delivery.request.retries + 1))
    refusals.record_failure(message.saga, message.step, message.operation, reason)
