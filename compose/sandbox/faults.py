"""Faults on purpose: before the work, after it, or instead of an answer.

A test token causes its fault on the first call with a key; `tok_timeout` also makes the first repeats late. Some tokens
and addresses let later calls about the same thing fail until the fault is removed. A fault that is set through
/control/faults hits the next `count` calls (or events) under its path, with any key. Faults are kept in memory: a
restart clears them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from compose.sandbox.bodies import FaultPlan, read
from compose.sandbox.http import InvalidRequest, SandboxError

Kind = Literal["error_500", "error_after", "delay", "timeout", "hang", "drop", "twice"]
WebhookKind = Literal["lose", "delay", "duplicate", "reorder", "forge"]
WEBHOOKS = "/webhooks/"
ALWAYS = 1_000_000
"""More calls than any test makes."""


class Broken(SandboxError):
    """Answered with 500, which leaves open whether the work was done."""


class NoAnswer(Exception):
    """The connection is closed without an answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail; `seconds` matter for delay, timeout, hang and reorder.

    Of a call:
    error_500: nothing is done, 500. error_after: done, then 500. delay: done and answered after `seconds`.
    timeout: done at once, answered after `seconds`. hang: nothing is done, no answer, closed after `seconds`.
    drop: done, then the connection is closed without an answer. twice: done, and answered twice on one connection.

    Of an event:
    lose: never sent. delay: sent after `seconds`. duplicate: sent twice. reorder: sent after the next one of its side,
    or after `seconds`. forge: signed with another secret.
    """

    kind: Kind | WebhookKind
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault for the next `count` calls whose path starts with `path`."""

    path: str
    fault: Fault
    count: int


class Faults:
    """The planned faults and the waits that they cause."""

    def __init__(self, default_seconds: float) -> None:
        self._default_seconds = default_seconds
        self._guard = threading.Lock()
        self._planned: list[Planned] = []
        self._released = threading.Event()

    def plan(self, body: dict[str, Any]) -> Planned:
        """Add a fault from its JSON form."""
        plan = read(body, FaultPlan)
        kinds = get_args(WebhookKind if plan.path.startswith(WEBHOOKS) else Kind)
        if plan.kind not in kinds:
            raise InvalidRequest("invalid_field", f"kind must be one of {', '.join(kinds)}")
        seconds = self._default_seconds if plan.seconds is None else plan.seconds
        planned = Planned(plan.path, Fault(cast(Kind | WebhookKind, plan.kind), seconds), plan.count)
        with self._guard:
            self._planned.append(planned)
        return planned

    def plan_lasting(self, path: str, fault: Fault) -> None:
        """Let a fault hit every call under a path, until it is removed."""
        with self._guard:
            self._planned.append(Planned(path, fault, ALWAYS))

    def clear(self, path: str = "") -> None:
        """Remove the planned faults whose path starts with `path`, and end every wait."""
        with self._guard:
            self._planned = [each for each in self._planned if not each.path.startswith(path)]
            self._released.set()
            self._released = threading.Event()

    def take(self, path: str) -> Fault | None:
        """Use up and return the first planned fault for this path."""
        with self._guard:
            for index, planned in enumerate(self._planned):
                of_events = planned.path.startswith(WEBHOOKS)
                if path.startswith(planned.path) and path.startswith(WEBHOOKS) == of_events:
                    if planned.count > 1:
                        self._planned[index] = replace(planned, count=planned.count - 1)
                    else:
                        del self._planned[index]
                    return planned.fault
        return None

    def planned(self) -> list[Planned]:
        """Return the faults that are still to come."""
        with self._guard:
            return list(self._planned)

    def before(self, fault: Fault | None) -> None:
        """Do what a fault does before the work; raises Broken or NoAnswer."""
        if fault is None:
            return
        if fault.kind == "error_500":
            raise Broken("internal_error", "planned fault: nothing was done")
        if fault.kind == "delay":
            self._wait(fault)
        if fault.kind == "hang":
            self._wait(fault)
            raise NoAnswer

    def after(self, fault: Fault | None) -> None:
        """Do what a fault does after the work, whose result is stored; raises Broken or NoAnswer."""
        if fault is None:
            return
        if fault.kind == "error_after":
            raise Broken("internal_error", "planned fault: repeat with the same Idempotency-Key")
        if fault.kind == "timeout":
            self._wait(fault)
        if fault.kind == "drop":
            raise NoAnswer

    def _wait(self, fault: Fault) -> None:
        with self._guard:
            released = self._released
        released.wait(fault.seconds)
