"""Event envelopes: a Celery message carries one CloudEvent, or several of one type (rule 21, events)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from celery_config.broker import topology
from celery_config.broker.topology import RECEIVE, RECEIVE_ALL


def events_message(kind: str, events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The message that carries events of one type to all subscribers.

    One event is a CloudEvent in structured mode, several are a batch (https://cloudevents.io, JSON format).
    """
    first, *others = events
    route = {"exchange": topology.EVENTS, "routing_key": kind}
    if others:
        shown = topology.flower_options(event=kind, events=len(events))
        return {"task": RECEIVE_ALL, "args": [], "kwargs": {"events": list(events)}, "options": route | shown}
    return single_event_message(first, route)


def single_event_message(event: dict[str, Any], route: dict[str, Any]) -> dict[str, Any]:
    shown = topology.flower_options(saga=event.get("saga"), event=event["type"], subject=event.get("subject"))
    return {
        "task": RECEIVE, "args": [], "kwargs": event, "options": {**route, "task_id": event["id"], **shown},
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EventMessage:
    """A CloudEvent in structured mode; delivery checks it as an `Envelope`."""

    id: UUID
    type: str
    saga: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class EventsMessage:
    """CloudEvents in batched mode."""

    events: tuple[EventMessage, ...]


def event_type(message: Any) -> str:
    """The type of the events that a message carries; empty if it carries none."""
    match message:
        case EventMessage():
            return message.type
        case EventsMessage(events=[first, *_]):
            return first.type
    return ""
