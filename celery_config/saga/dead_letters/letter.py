"""What a dead letter says, whatever it is: garbage is what dead letters are made of, and none of it may hold us up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kombu.message import Message

from celery_config.messaging.barrier.fences import PIVOT_FENCED, PIVOT_RAN
from celery_config.messaging.event_envelopes import RECEIVE, RECEIVE_ALL
from celery_config.saga.dead_letters.diagnosis import why
from celery_config.saga.engine.chains import STEP_FAILED

KEPT_BODY = 64 * 1024
# They carry step and operation too, but tell of a step instead of being it.
NEWS = (STEP_FAILED, PIVOT_RAN, PIVOT_FENCED, RECEIVE, RECEIVE_ALL)


@dataclass(frozen=True, kw_only=True)
class Letter:
    """The columns of its row, as far as it says them itself."""

    reason: str
    queue: str
    task: str
    task_id: str
    saga: UUID | None
    step: str
    operation: str
    flow: str
    """Empty: what it is about has a saga; else the `event_flow` of its watched flow."""
    fault: str
    headers: dict[str, Any]
    body: str
    told_of: frozenset[UUID]
    """The sagas of its events, if it is a batch of them."""

    @classmethod
    def of(cls, message: Message) -> Letter:
        """Read whatever can be read."""
        headers, kwargs = storable(dict(message.headers or {})), kwargs_of(message)
        death = first(headers.get("x-death"))
        reason = str(death.get("reason", headers.get("x-first-death-reason", "unknown")))
        queue = str(death.get("queue", headers.get("x-first-death-queue", "")))
        return cls(
            reason=reason[:40],
            queue=queue[:120],
            task=str(headers.get("task", ""))[:200],
            task_id=str(headers.get("id", ""))[:255],
            saga=saga_id(kwargs),
            step=str(kwargs.get("step", ""))[:80],
            operation=str(kwargs.get("operation", ""))[:20],
            flow=str(kwargs.get("flow", "")),
            fault=text(fault_in(message, reason, queue))[:300],
            headers=headers,
            body=text(message.body),
            told_of=frozenset(each for event in events_of(kwargs) if (each := saga_id(event))),
        )

    @property
    def is_a_step(self) -> bool:
        """Whether it is an action or an undo itself."""
        return self.operation in ("do", "undo") and self.task not in NEWS

    @property
    def sagas(self) -> frozenset[UUID]:
        """Those that it concerns."""
        return frozenset([self.saga]) if self.saga else self.told_of


def fault_in(message: Message, reason: str, queue: str) -> str:
    try:
        return why(message, reason, queue)
    except Exception as error:  # nobody foresaw this one
        return f"it cannot be read: {error!r}"


def first(deaths: Any) -> dict[str, Any]:
    """The last death of a message, which its broker puts first."""
    return deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}


def events_of(kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of a batch."""
    events = kwargs.get("events")
    return [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []


def kwargs_of(message: Message) -> dict[str, Any]:
    try:
        _, kwargs, _ = message.payload
    except Exception:  # every codec raises its own kinds; the letter itself is kept whole
        return {}
    return storable(kwargs) if isinstance(kwargs, dict) else {}


def storable(value: dict[str, Any]) -> dict[str, Any]:
    """`value` as JSON that PostgreSQL takes: it knows neither NUL nor half a surrogate pair, and no NaN."""
    try:
        whole = json.dumps(value, default=str, ensure_ascii=False).encode(errors="replace").decode()
        return json.loads(whole.replace(r"\u0000", r"\ufffd"), parse_constant=str)  # type: ignore[no-any-return]
    except (ValueError, TypeError, RecursionError) as error:
        return {"unreadable": repr(error)}


def saga_id(kwargs: dict[str, Any]) -> UUID | None:
    try:
        return UUID(str(kwargs["saga"]))
    except (KeyError, ValueError):
        return None


def text(body: Any) -> str:
    """What PostgreSQL takes of a text or body, at most `KEPT_BODY` characters."""
    raw = body.tobytes() if isinstance(body, memoryview) else body
    if not isinstance(raw, bytes):
        raw = str(raw)[:KEPT_BODY].encode("utf-8", "backslashreplace")
    return raw[:KEPT_BODY].decode("utf-8", "backslashreplace").replace("\x00", "\\x00")[:KEPT_BODY]
