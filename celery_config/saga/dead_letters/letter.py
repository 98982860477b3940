"""Dead letters are untrusted input: parsing one never raises, and what is parsed can always be stored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from celery import current_app
from django.conf import settings
from kombu.message import Message

from celery_config.broker.properties import DEATHS, REFUSED
from celery_config.broker.topology import RECEIVE, RECEIVE_ALL, STEP_EVENTS, find_route_fault, task_queues
from celery_config.broker.validation import find_excess
from celery_config.common.services import PARTICIPANTS
from celery_config.errors import Forged
from celery_config.messaging.barrier.fences import PIVOT_FENCED, PIVOT_RAN
from celery_config.messaging.barrier.steps import STEP_LOST
from celery_config.saga.dead_letters.diagnosis import diagnose
from celery_config.saga.engine.chains import STEP_FAILED

MAX_BODY = 64 * 1024
# The broker's; of headers that are not read, the sender may have written the reason.
REASONS = ("rejected", "expired", "maxlen", "delivery_limit")
UNKNOWN = "unknown"
# Their messages name a step and an operation too, but they report about the step.
REPORTS = (STEP_FAILED, STEP_LOST, PIVOT_RAN, PIVOT_FENCED, RECEIVE, RECEIVE_ALL)


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A dead letter's columns, as far as the message fills them."""

    reason: str
    queue: str
    task: str
    task_id: str
    saga: UUID | None
    step: str
    operation: str
    flow: str
    """The `event_flow` of its watched flow; empty: it belongs to a saga."""
    fault: str
    headers: dict[str, Any]
    body: str
    event_sagas: frozenset[UUID]
    """The sagas of its events, if it is a batch of events."""
    is_forged: bool = False
    """Whether its sender pretended to be another; then no saga acts on it."""

    @classmethod
    def parse(cls, message: Message) -> Letter:
        """Read what can be read; never raises."""
        try:
            return cls.read(message)
        except Exception as error:  # nested too deeply for one of the readers, or too large for the memory
            return cls(
                reason=UNKNOWN, queue="", task="", task_id="", saga=None, step="", operation="", flow="",
                fault=f"it cannot be read: {type(error).__name__}", headers={}, body=sanitize_text(message.body),
                event_sagas=frozenset(),
            )  # fmt: skip

    @classmethod
    def read(cls, message: Message) -> Letter:
        headers = sanitize_json(dict(message.headers or {}))
        replies, kwargs = read_payload(message)
        death = last_death(headers.get(DEATHS))
        reason = str(death.get("reason", headers.get("x-first-death-reason", "unknown")))
        queue = str(death.get("queue", headers.get("x-first-death-queue", "")))
        task = str(headers.get("task", ""))
        forgery = find_forgery(task, replies, kwargs, death)
        return cls(
            reason=reason if reason in REASONS else UNKNOWN,
            queue=queue[:120],
            task=task[:200],
            task_id=str(headers.get("id", ""))[:255],
            saga=read_saga_id(kwargs),
            step=str(kwargs.get("step", ""))[:80],
            operation=str(kwargs.get("operation", ""))[:20],
            flow=str(kwargs.get("flow", "")),
            fault=sanitize_text(
                str(headers.get(REFUSED, "")) or forgery or diagnose_safely(message, reason, queue)
            )[:300],
            is_forged=bool(forgery),
            headers=headers,
            body=sanitize_text(message.body),
            event_sagas=frozenset(saga for event in read_events(kwargs) if (saga := read_saga_id(event))),
        )

    @property
    def is_step(self) -> bool:
        """Whether it is an action or an undo itself, not a report about one, and comes from its own service's queue.

        Another service may put a real link into a queue of its own and reject it there: that says nothing of the step.
        """
        if self.operation not in ("do", "undo") or self.task in REPORTS:
            return False
        return self.queue in task_queues(self.task.partition(".")[0])

    @property
    def sagas(self) -> frozenset[UUID]:
        """The sagas that it is about."""
        return frozenset([self.saga]) if self.saga else self.event_sagas


def find_forgery(
    task: str, replies: dict[str, Any], kwargs: dict[str, Any], death: dict[str, Any]
) -> str | None:
    """Say how the sender pretended to be another, or None.

    By a wrong code, by handing on a link before its turn, by an event of another source or order than it says, or by a
    key that is not of this task.

    Args:
        replies: of the links before it.
        death: the broker's own note of where the message came from.
    """
    found = current_app.tasks.get(task)
    sender = found.work.sender if hasattr(found, "work") else ""
    service = str(kwargs.get("service")) if sender == "participant" else task.partition(".")[0]
    keys = death.get("routing-keys")
    try:
        if sender or ({"operation", "step"} <= kwargs.keys() and service in PARTICIPANTS):
            settings.MESSAGE_KEYS.check_message(service, task, kwargs)
            settings.MESSAGE_KEYS.check_turn(kwargs, replies)
        for event in {RECEIVE: [kwargs], RECEIVE_ALL: read_events(kwargs)}.get(task, []):
            check_event(event)
    except Forged as error:
        return str(error)
    exchange, key = str(death.get("exchange", "")), str(keys[0]) if isinstance(keys, list) and keys else ""
    return find_route_fault(exchange, key, task, str(death.get("queue", "")).partition(".")[0])


def check_event(event: dict[str, Any]) -> None:
    """
    Raises:
        Forged: it is not from its source, or names another order than the choreographed one that it is of.
    """
    kind, data, saga = str(event.get("type")), event.get("data"), event.get("saga")
    if kind.startswith(f"{STEP_EVENTS}."):
        settings.MESSAGE_KEYS.check_message(str(event.get("source")).removeprefix("/"), kind, event)
    if event.get("flow") and isinstance(data, dict) and data.get("order", saga) != saga:
        raise Forged(f"the event is forged: it is of {saga}, and names another order")


def diagnose_safely(message: Message, reason: str, queue: str) -> str:
    try:
        return diagnose(message, reason, queue)
    except Exception as error:  # a fault that the diagnosis does not know
        return f"it cannot be read: {error!r}"


def last_death(deaths: Any) -> dict[str, Any]:
    """The last entry of `x-death`, which the broker puts first; empty if there is none."""
    return deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}


def read_events(kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a batch."""
    events = kwargs.get("events")
    return [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []


def read_payload(message: Message) -> tuple[dict[str, Any], dict[str, Any]]:
    """The replies of a link and its keyword arguments, each empty if there are none."""
    if find_excess(message.body):
        return {}, {}
    try:
        args, kwargs, _ = message.payload
    except Exception:  # every codec raises its own errors; the body is stored as it is
        return {}, {}
    first = args[0] if isinstance(args, list) and args else {}
    replies, kwargs = (sanitize_json(each) if isinstance(each, dict) else {} for each in (first, kwargs))
    return replies, kwargs


def sanitize_json(value: dict[str, Any]) -> dict[str, Any]:
    """`value` as JSON that PostgreSQL stores: without NUL, lone surrogates and NaN."""
    try:
        whole = json.dumps(value, default=str, ensure_ascii=False).encode(errors="replace").decode()
        return json.loads(whole.replace(r"\u0000", r"\ufffd"), parse_constant=str)  # type: ignore[no-any-return]
    except (ValueError, TypeError, RecursionError) as error:
        return {"unreadable": repr(error)}


def read_saga_id(kwargs: dict[str, Any]) -> UUID | None:
    try:
        return UUID(str(kwargs["saga"]))
    except (KeyError, ValueError):
        return None


def sanitize_text(body: Any) -> str:
    """A text or body as PostgreSQL stores it, at most `MAX_BODY` characters."""
    raw = body.tobytes() if isinstance(body, memoryview) else body
    if not isinstance(raw, bytes):
        raw = str(raw)[:MAX_BODY].encode("utf-8", "backslashreplace")
    return raw[:MAX_BODY].decode("utf-8", "backslashreplace").replace("\x00", "\\x00")[:MAX_BODY]
