"""A participant's commands over REST, as the orchestrator sends them.

The participant's barrier makes a repeat harmless, as over the broker; so a call that nobody knows the end of is simply
made again, by whoever asked for it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from celery.exceptions import Ignore, Reject
from django.conf import settings

from celery_config.breaker import Breaker, CircuitOpen
from celery_config.errors import Refused, StepOutlived, Unknown
from celery_config.http_client import JsonClient, Outcomes
from celery_config.messaging.deliveries import Outcome

FAILURES_IN_A_ROW = 5
# A participant may have to call somebody itself, who has the time of one call.
CALL_SHARE = 1.5
OUTLIVED, REJECTED = "outlived", "command_rejected"


class CallFailed(Exception):
    """The participant did not take the call as such: our code, its address or a token is wrong."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


@dataclass(frozen=True)
class Participant:
    """One participant."""

    client: JsonClient
    breaker: Breaker

    def ask(self, task: str, message: dict[str, Any], replies: dict[str, Any], *, key: str) -> Outcome:
        """Send a command and return what the participant's task would have returned.

        Args:
            task: its wire name.
            message: what the broker would have carried.
            replies: those of the steps before it, by step.
            key: names the command in both services' logs; the barrier's own key lies in the message.

        Raises:
            Refused: its final no.
            Unknown: nobody knows what was done, or nobody was called.
            CallFailed: it was not understood.
        """
        body = {"task": task, "message": message, "replies": replies}
        try:
            answer = self.breaker.call(lambda: self.client.post("/api/commands/", body, key=key))
        except CircuitOpen as error:
            raise Unknown(str(error)) from error
        except CallFailed as error:
            if error.code == OUTLIVED:
                return StepOutlived(error.reason)
            if error.code == REJECTED:
                return Reject(error.reason, requeue=False)
            raise
        return Ignore("the pivot ran") if answer.get("ended") else answer["replies"]


@functools.cache
def participant(service: str) -> Participant:
    """The participant called so; it keeps its connections and is shared by all threads."""
    client = JsonClient(
        settings.SERVICE_URLS[service],
        Outcomes(Refused, Unknown, CallFailed),
        seconds=CALL_SHARE * settings.TIMES.call,
        token=settings.SERVICE_TOKENS[service],
    )
    unwell = Breaker(
        failures=FAILURES_IN_A_ROW,
        rest=settings.TIMES.call,
        counts=lambda error: isinstance(error, Unknown),
    )
    return Participant(client, unwell)
