"""Steps over REST: the link runs here, calls the participant, and its outcome is the participant's."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from celery_config.errors import OutcomeUnknown
from celery_config.failpoints.points import Point, reach
from celery_config.messaging.deliveries import Call, Delivery, Outcome
from celery_config.participant.rest_client import participant
from celery_config.saga.engine import step_log
from celery_config.saga.engine.chains import CALL


@dataclass(frozen=True, kw_only=True)
class CallMessage:
    """A link whose step is reached over REST; `message` is what the broker would have carried."""

    saga: UUID
    step: str
    operation: str
    attempt: int
    task: str
    message: dict[str, Any]


def call_participants(deliveries: Sequence[Delivery[CallMessage]]) -> list[Outcome]:
    """Each call in a thread of its own."""
    return [Call(functools.partial(call_participant, delivery), answers) for delivery in deliveries]


def call_participant(delivery: Delivery[CallMessage]) -> Outcome:
    message = delivery.message
    service, _, _ = message.task.partition(".")
    key = f"{message.saga}/{message.step}/{message.operation}"
    with structlog.contextvars.bound_contextvars(task=f"{CALL} {message.task}"):
        reach(Point.BEFORE_CALL)
        answer = participant(service).ask(message.task, message.message, delivery.replies, key=key)
        reach(Point.AFTER_CALL)
    return answer


def answers(answered: Sequence[tuple[Any, Outcome]]) -> list[Outcome]:
    return [answer for _, answer in answered]


def note_giving_up(delivery: Delivery[CallMessage], error: Exception) -> None:
    """Keep why in the saga log; the errback itself carries no reason."""
    message, code = delivery.message, "unknown_outcome" if isinstance(error, OutcomeUnknown) else "error"
    step_log.note_failure(
        message.saga, message.step, message.operation, {"code": code, "reason": str(error)[:500]}
    )
