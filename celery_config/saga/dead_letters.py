"""Reads the dead-letter queue: what belongs to a saga is acted on, everything is kept and shown (rule 19)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import structlog
from celery import Celery
from django.db import transaction
from kombu import Connection
from kombu.message import Message

from celery_config import metrics, topology
from celery_config.messaging.event_messages import RECEIVE, RECEIVE_ALL
from celery_config.messaging.fences import PIVOT_FENCED, PIVOT_RAN
from celery_config.messaging.publisher import broker_errors, drop
from celery_config.saga import runner
from celery_config.saga.chains import STEP_FAILED
from celery_config.saga.machine import StepFailed
from celery_config.saga.models import DeadLetter, SagaInstance
from celery_config.saga.rejections import why

log = structlog.get_logger(__name__)
KEPT_BODY = 64 * 1024
AT_ONCE = 200
# They carry step and operation too, but tell of a step instead of being it.
NEWS = (STEP_FAILED, PIVOT_RAN, PIVOT_FENCED, RECEIVE, RECEIVE_ALL)


class DeadLetterReader:
    """Takes dead letters from the broker, each acknowledged after its row is committed."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.connection: Connection | None = None

    def read(self) -> None:
        """Read up to `AT_ONCE` letters."""
        try:
            channel = self.open()
            if channel is None:
                return
            for _ in range(AT_ONCE):
                message = channel.basic_get(topology.DEAD_LETTERS)
                if message is None:
                    return
                keep(Message(channel=channel, body=message.body, **parts(message)))
                channel.basic_ack(message.delivery_tag)
        except broker_errors(self.app):
            self.close()  # its absence is told elsewhere; the letters wait there
        except BaseException:
            self.close()
            raise

    def open(self) -> Any:
        if self.connection is None:
            self.connection = self.app.connection_for_read()
        if self.connection.transport.driver_type != "amqp":
            return None  # the embedded broker has no dead-letter routes
        self.connection.ensure_connection(max_retries=1, timeout=5)
        return self.connection.default_channel

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            drop(connection)


def parts(message: Any) -> dict[str, Any]:
    properties = dict(message.properties)
    return {
        "headers": properties.pop("application_headers", {}),
        "content_type": properties.get("content_type"),
        "content_encoding": properties.get("content_encoding"),
        "properties": properties,
        "accept": {"application/json"},
    }


def keep(message: Message) -> None:
    """Store the letter and let its saga act on it, in one transaction."""
    headers = storable(dict(message.headers or {}))
    death = (headers.get("x-death") or [{}])[0]
    kwargs = kwargs_of(message)
    task, saga = str(headers.get("task", "")), saga_id(kwargs)
    told_of = {each for event in events_of(kwargs) if (each := saga_id(event))}
    step, operation = str(kwargs.get("step", "")), str(kwargs.get("operation", ""))
    reason = str(death.get("reason", headers.get("x-first-death-reason", "unknown")))
    queue = str(death.get("queue", headers.get("x-first-death-queue", "")))
    with transaction.atomic():
        if saga:
            consequence = act(saga, task, step, operation, reason)
        else:
            consequence = look_soon(told_of) if told_of else "kept: it belongs to no saga"
        DeadLetter.objects.create(
            reason=reason[:40],
            queue=queue[:120],
            task=task[:200],
            task_id=str(headers.get("id", ""))[:255],
            saga=saga,
            step=step[:80],
            operation=operation[:20],
            fault=why(message, reason, queue)[:300],
            consequence=consequence,
            headers=headers,
            body=text(message.body),
        )
    metrics.DEAD_LETTERS.labels(reason).inc()
    log.error("dead letter", task=task, saga=str(saga), step=step, reason=reason, consequence=consequence)


def act(saga: UUID, task: str, step: str, operation: str, reason: str) -> str:
    """A dead action is an unknown failure, a dead undo its errback; all else only makes the saga due."""
    row = SagaInstance.objects.select_for_update().filter(pk=saga).first()
    if row is None:
        return "kept: no such saga here"
    if operation in ("do", "undo") and task not in NEWS and row.steps.filter(name=step).exists():
        cause = {"step": step, "code": "dead_letter", "reason": f"the message of {step} came back: {reason}"}
        runner.take(row, StepFailed(step, operation), cause=cause)
        return f"taken as the failure of {step} ({operation})"
    runner.make_due(row)
    return "its saga is looked at soon"


def look_soon(sagas: Iterable[UUID]) -> str:
    """Make the sagas due of which a batch of events told."""
    for row in runner.locked(sagas):
        runner.make_due(row)
    return "the sagas of its events are looked at soon"


def events_of(kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of a batch."""
    events = kwargs.get("events")
    return [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []


def kwargs_of(message: Message) -> dict[str, Any]:
    try:
        _, kwargs, _ = message.payload
    except Exception:  # garbage is what dead letters are made of; the letter itself is kept whole
        return {}
    return storable(kwargs) if isinstance(kwargs, dict) else {}


def storable(value: dict[str, Any]) -> dict[str, Any]:
    """`value` as JSON that PostgreSQL takes: it knows neither NUL nor half a surrogate pair."""
    whole = json.dumps(value, default=str, ensure_ascii=False).encode(errors="replace").decode()
    return json.loads(whole.replace(r"\u0000", r"\ufffd"))  # type: ignore[no-any-return]


def saga_id(kwargs: dict[str, Any]) -> UUID | None:
    try:
        return UUID(str(kwargs["saga"]))
    except (KeyError, ValueError):
        return None


def text(body: Any) -> str:
    raw = body.tobytes() if isinstance(body, memoryview) else body
    decoded = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else str(raw)
    return decoded[:KEPT_BODY].replace("\x00", "\\x00")
