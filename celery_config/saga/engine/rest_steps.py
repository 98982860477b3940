"""Steps over REST: our worker runs the link, calls the participant, and answers with the participant's outcome."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from celery.exceptions import Ignore, Reject
from django.conf import settings

from celery_config.errors import OutcomeUnknown, Refused, ServiceUnavailable, StepSuperseded
from celery_config.failpoints.points import Point, reach
from celery_config.http.circuit_breaker import CircuitBreaker, CircuitOpen
from celery_config.http.json_client import JsonClient, Outcomes
from celery_config.messaging.deliveries import Call, Delivery, Outcome
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
        answer = find_participant(service).send(message.task, message.message, delivery.replies, key=key)
        reach(Point.AFTER_CALL)
    return answer


def unpack_answers(answered: Sequence[tuple[Any, Outcome]]) -> list[Outcome]:
    return [answer for _, answer in answered]


def record_exhaustion(delivery: Delivery[CallMessage], error: Exception) -> None:
    """Write the reason to the saga log, since the errback carries none."""
    message, code = delivery.message, "unknown_outcome" if isinstance(error, OutcomeUnknown) else "error"
    reason = {"code": code, "reason": str(error)[:500]}
    refusals.record_failure(message.saga, message.step, message.operation, reason)


FAILURES_IN_A_ROW = 5
MAX_CONCURRENT_CALLS = 8
OUTLIVED, REJECTED = "outlived", "command_rejected"


class CallFailed(Exception):
    """The participant did not understand the call: our code, its address or a token is wrong."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


@dataclass(frozen=True)
class Participant:
    """A participant's REST API, behind a circuit breaker and a bulkhead (Nygard, Release It!)."""

    client: JsonClient
    breaker: CircuitBreaker
    bulkhead: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(MAX_CONCURRENT_CALLS))
    """Calls that the participant has no thread for wait here, before their time limit starts."""

    def send(self, task: str, message: dict[str, Any], replies: dict[str, Any], *, key: str) -> Outcome:
        """Send a command and return what the participant's task would have returned.

        Args:
            task: the command's wire name.
            message: what the broker would have carried.
            replies: those of the steps before, by step.
            key: names the command in both services' logs; the barrier's own key is in the message.

        Raises:
            Refused: the participant refused the command.
            OutcomeUnknown: the participant may or may not have carried it out.
            ServiceUnavailable: nothing was done; the participant is down, or the circuit is open.
            CallFailed: the participant did not understand the call.
        """
        body = {"task": task, "message": message, "replies": replies}
        try:
            with self.bulkhead:
                answer = self.breaker.call(lambda: self.client.post("/api/commands/", body, key=key))
        except CircuitOpen as error:
            reach(Point.CIRCUIT_OPEN)
            raise ServiceUnavailable(str(error)) from error
        except CallFailed as error:
            if error.code == OUTLIVED:
                return StepSuperseded(error.reason)
            if error.code == REJECTED:
                return Reject(error.reason, requeue=False)
            raise
        return Ignore("the pivot ran") if answer.get("ended") else answer["replies"]


@functools.cache
def find_participant(service: str) -> Participant:
    """The participant with this name; all threads share it and its connections."""
    client = JsonClient(
        settings.SERVICE_URLS[service],
        Outcomes(Refused, OutcomeUnknown, CallFailed, away=ServiceUnavailable),
        seconds=settings.TIMES.command,
        token=settings.SERVICE_TOKENS[service],
    )
    breaker = CircuitBreaker(
        failures=FAILURES_IN_A_ROW,
        rest=settings.TIMES.call,
        counts=lambda error: isinstance(error, OutcomeUnknown),
    )
    return Participant(client, breaker)
