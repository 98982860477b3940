"""Steps over REST: our worker runs the link, calls the participant, and answers with the participant's outcome."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from celery_config.contracts.base import encode
from celery_config.failpoints.points import Point, reach
from celery_config.messaging.deliveries import Call, Delivery, Outcome
from celery_config.participant.handlers import describe_giving_up
from celery_config.participant.rest_client import participant
from celery_config.saga.engine import refusals
from celery_config.saga.engine.chains import CALL


@dataclass(frozen=True, kw_only=True)
class CallMessage:
    """A link that calls its participant over REST; `message` is what the broker would have carried."""

    saga: UUID
    step: str
    operation: str
    attempt: int
    task: str
    message: dict[str, Any]


def call_participants(deliveries: Sequence[Delivery[CallMessage]]) -> list[Outcome]:
    """Run each call in a thread of its own."""
    return [Call(functools.partial(call_participant, delivery), unpack_answers) for delivery in deliveries]


def call_participant(delivery: Delivery[CallMessage]) -> Outcome:
    message = delivery.message
    service, _, _ = message.task.partition(".")
    key = f"{message.saga}/{message.step}/{message.operation}"
    with structlog.contextvars.bound_contextvars(task=f"{CALL} {message.task}"):
        reach(Point.BEFORE_CALL)
        answer = participant(service).ask(message.task, message.message, delivery.replies, key=key)
        reach(Point.AFTER_CALL)
    return answer


def unpack_answers(answered: Sequence[tuple[Any, Outcome]]) -> list[Outcome]:
    return [answer for _, answer in answered]


def record_exhaustion(delivery: Delivery[CallMessage], error: Exception) -> None:
    """Write the reason to the saga log, since the errback carries none."""
    message, reason = delivery.message, encode(describe_giving_up(error, delivery.request.retries + 1))
    refusals.record_failure(message.saga, message.step, message.operation, reason)
