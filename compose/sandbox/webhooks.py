"""Webhooks: the sandbox sends the outcome of a call as a signed event, and repeats it until it is accepted.

An event is made once, after the work and its answer are committed; the answer itself may still be delayed. Events are
kept in memory: a crash loses them, as a provider may lose its own. Faults under /webhooks/provider and
/webhooks/carrier hit the next events instead of the next calls.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx
import msgspec
import structlog

from celery_config.http.webhooks import HEADER, Envelope, sign
from compose.sandbox.faults import Faults
from compose.sandbox.http import Answer, Request

TRIES = 8
FIRST_WAIT_SECONDS = 0.2
LIMIT_SECONDS = 5.0
FORGED = "whsec_forged"
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Target:
    """The address of one side's events, and the secret that signs them."""

    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way; `due` and `number` decide its turn."""

    due: float
    number: int
    event: Envelope
    secret: str
    tries: int = 0
    held: bool = False


class Sender:
    """Sends the events of one side, one after the other, in a thread of its own."""

    def __init__(self, side: str, target: Target, faults: Faults, count: Callable[[str], None]) -> None:
        self._side, self._target, self._faults, self._count = side, target, faults, count
        self._changed = threading.Condition()
        self._waiting: list[Delivery] = []
        self._number = 0
        self._stopped = False
        self._client = httpx.Client(timeout=LIMIT_SECONDS, trust_env=False)
        self._thread = threading.Thread(target=self._run, name=f"{side}-webhooks", daemon=True)
        self._thread.start()

    def announce(self, event: Envelope) -> None:
        """Queue an event, or do with it what a planned fault wants."""
        fault = self._faults.take(f"/webhooks/{self._side}")
        kind, seconds = (fault.kind, fault.seconds) if fault else ("", 0.0)
        with self._changed:
            if kind == "lose":
                return
            now = time.monotonic()
            secret = FORGED if kind == "forge" else self._target.secret
            late, held = kind in {"delay", "reorder"}, kind == "reorder"
            for _ in range(2 if kind == "duplicate" else 1):
                self._put(Delivery(now + seconds if late else now, 0, event, secret, held=held))
            if not held:
                self._release_held(now)
            self._changed.notify()

    def _put(self, delivery: Delivery) -> None:
        self._number += 1
        self._waiting.append(replace(delivery, number=self._number))

    def _release_held(self, now: float) -> None:
        """Queue the events that waited for a later one."""
        held = [delivery for delivery in self._waiting if delivery.held]
        self._waiting = [delivery for delivery in self._waiting if not delivery.held]
        for delivery in held:
            self._put(replace(delivery, due=now, held=False))

    def _run(self) -> None:
        while (delivery := self._next()) is not None:
            self._send(delivery)

    def _next(self) -> Delivery | None:
        with self._changed:
            while not self._stopped:
                first = min(self._waiting, key=lambda d: (d.due, d.number), default=None)
                wait = first.due - time.monotonic() if first else None
                if first and wait is not None and wait <= 0:
                    self._waiting.remove(first)
                    return first
                self._changed.wait(wait)
        return None

    def _send(self, delivery: Delivery) -> None:
        body = msgspec.json.encode(delivery.event)
        signature = sign(body, delivery.secret, at=int(time.time()))
        headers = {"Content-Type": "application/json", HEADER: signature}
        try:
            status = self._client.post(self._target.url, content=body, headers=headers).status_code
        except httpx.TransportError as error:
            log.info("webhook not taken in", side=self._side, error=repr(error))
            status = 0
        self._count(f"webhook {self._side} {status or 'no answer'}")
        again = status == 0 or status >= 500 or status == httpx.codes.TOO_MANY_REQUESTS
        if again and delivery.tries + 1 < TRIES:
            wait = FIRST_WAIT_SECONDS * 2**delivery.tries
            with self._changed:
                self._put(replace(delivery, due=time.monotonic() + wait, tries=delivery.tries + 1))

    def close(self) -> None:
        """Stop; events that were not sent are lost."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(2 * LIMIT_SECONDS)
        self._client.close()


class Webhooks:
    """The senders of the sides that have an address."""

    def __init__(self, targets: Mapping[str, Target], faults: Faults, count: Callable[[str], None]) -> None:
        self._senders = {side: Sender(side, target, faults, count) for side, target in targets.items()}

    def announce(self, side: str, kind: str, request: Request, answer: Answer) -> None:
        """Send the outcome of a call, if its side has an address.

        Args:
            kind: the thing and what happened to it: `authorization.captured`.
        """
        sender = self._senders.get(side)
        if sender:
            event = Envelope(f"evt_{uuid.uuid4().hex}", kind, request.key, describe_outcome(request, answer))
            sender.announce(event)

    def close(self) -> None:
        for sender in self._senders.values():
            sender.close()


def describe_outcome(request: Request, answer: Answer) -> dict[str, Any]:
    """Return the thing as it is now; for a refused request what it asked for, and the error."""
    error: dict[str, Any] | None = answer.body.get("error")
    if error is None:
        return answer.body
    asked = ("reference", "amount", "currency", "weight_grams", "parcels")
    return {name: request.body[name] for name in asked if name in request.body} | error
