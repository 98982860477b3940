"""The client of a participant's commands over REST: one command, one answer, within one time limit.

As over the broker, the participant's barrier makes a repeat harmless: a call whose outcome is unknown is repeated.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from celery.exceptions import Ignore, Reject
from django.conf import settings

from celery_config.broker.validation import MAX_BYTES
from celery_config.errors import CallFailed, OutcomeUnknown, ServiceUnavailable, StepSuperseded
from celery_config.failpoints.points import Point, reach
from celery_config.http.circuit_breaker import CircuitBreaker, CircuitOpen
from celery_config.http.json_client import NO_HEADERS, JsonClient
from celery_config.messaging.deliveries import Outcome

FAILURES_IN_A_ROW = 5
AT_ONCE = 8
OUTLIVED, REJECTED = "outlived", "command_rejected"


@dataclass(frozen=True)
class Participant:
    """A participant's web."""

    client: JsonClient
    breaker: CircuitBreaker
    at_once: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(AT_ONCE))
    """A bulkhead (Nygard, Release It!): calls beyond its web threads wait here, before their time limit begins."""

    def ask(
        self,
        task: str,
        message: dict[str, Any],
        replies: dict[str, Any],
        *,
        key: str,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Outcome:
        """Send a command and return what the participant's task would have returned.

        Args:
            task: its wire name.
            message: what the broker would have carried.
            replies: those of the earlier steps, by step.
            headers: tell what began the saga.
            key: names the command in both services' logs; the barrier's own key is in the message.

        Raises:
            Refused: its final no.
            OutcomeUnknown: the participant may have carried it out, or not.
            ServiceUnavailable: it did nothing; the participant is not there, or the circuit is open.
            CallFailed: it did not accept the call.
        """
        body = {"task": task, "message": message, "replies": replies}
        try:
            with self.at_once:
                answer = self.breaker.call(
                    lambda: self.client.post("/api/commands/", body, key=key, headers=headers)
                )
        except CircuitOpen as error:
            reach(Point.CIRCUIT_OPEN)
            raise ServiceUnavailable(str(error)) from error
        except CallFailed as error:
            if error.code == OUTLIVED:
                return StepSuperseded(error.reason)
            if error.code == REJECTED:
                return Reject(error.reason, requeue=False)
            raise
        if answer.get("ended") is True:
            return Ignore("the pivot ran")
        if not isinstance(answer.get("replies"), dict):
            raise OutcomeUnknown(f"{task}: answered without replies")
        return answer["replies"]


@functools.cache
def participant(service: str) -> Participant:
    """Return the client of a participant; it keeps its connections, and all threads share it."""
    client = JsonClient(
        settings.SERVICE_URLS[service],
        seconds=settings.TIMES.command,
        token=settings.SERVICE_TOKENS.find_token(service, settings.SERVICE),
        away=ServiceUnavailable,
        largest=MAX_BYTES,
    )
    breaker = CircuitBreaker(
        failures=FAILURES_IN_A_ROW,
        reset_timeout=settings.TIMES.call,
        counts=lambda error: isinstance(error, OutcomeUnknown),
    )
    return Participant(client, breaker)
