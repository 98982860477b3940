"""The events as an AsyncAPI 3.0 document (https://www.asyncapi.com), from contracts, topology and subscriptions."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.module_loading import import_string

from celery_config.broker import topology
from celery_config.common.services import ORCHESTRATOR, SERVICES
from celery_config.contracts.base import Event, StepGaveUp, contract_fields
from celery_config.contracts.subscriptions import EventSubscription, ReactionRule

Parts = Mapping[str, Sequence[EventSubscription | ReactionRule]]
"""What services listen to, by service."""
SCHEMA, MESSAGE, CHANNEL = "#/components/schemas/{name}", "#/components/messages/{name}", "#/channels/{name}"
ENVELOPE: dict[str, Any] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "format": "uuid", "description": "a repeat of the event has the same"},
        "source": {"type": "string", "format": "uri-reference"},
        "subject": {"type": "string", "minLength": 1, "description": "the order, the SKU, the customer"},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "saga": {"type": "string", "format": "uuid", "description": "the saga; the order, if it has none"},
        "step": {"type": "string", "description": "of a saga"},
        "operation": {"enum": ["do", "undo"]},
        "outcome": {"enum": ["done", "refused", "undone", "failed"]},
        "flow": {"const": "choreographed"},
        "drive": {"type": "integer", "minimum": 1, "description": "it was said before, and is said again"},
    },
}
ABOUT = """\
Every event is a CloudEvent 1.0 in structured mode.
On the broker it is the keyword arguments of the Celery task `events.receive`; a message's body is `[[], EVENT, {}]`.
Several of one type may come together, as `[[], {"events": [EVENT, …]}, {}]` of the task `events.receive_all`.
`GET /api/events/` of each service has them as they are.

Readers ignore fields that they do not know.
An event only ever gains fields that have a default; anything else is a new event: the type says which schema it has.
What a reader subscribes to and cannot understand goes to the dead letters."""


def document(parts: Parts, title: str = "Order Saga") -> dict[str, Any]:
    """The document of these services: what they announce and what they hear."""
    heard = [kind for listens in parts.values() for each in listens for kind in kinds_of(each)]
    shown = dict.fromkeys([*(kind for service in parts for kind in announced_by(service)), *heard])
    schemas = msgspec.json.schema_components(list(shown), ref_template=SCHEMA)[1]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": "1", "description": ABOUT},
        "defaultContentType": "application/cloudevents+json",
        "servers": {
            "broker": {
                "host": "broker:5672",
                "pathname": f"/{topology.VHOST}",
                "protocol": "amqp",
                "description": "RabbitMQ",
            }
        },
        "channels": {kind.wire_name(): channel(kind) for kind in shown},
        "operations": {
            name: operation
            for service, listens in parts.items()
            for name, operation in does(service, listens)
        },
        "components": {
            "messages": {kind.wire_name(): message(kind) for kind in shown},
            "schemas": {"CloudEvent": ENVELOPE, **schemas},
        },
    }


def every_event() -> list[type[Event]]:
    """All that is ever announced."""
    modules = [importlib.import_module(f"celery_config.contracts.{each}") for each in SERVICES]
    return [
        kind
        for module in modules
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, Event) and kind.__module__ == module.__name__
    ] + [StepGaveUp]


def announced_by(service: str) -> list[type[Event]]:
    others = [] if service == ORCHESTRATOR else [StepGaveUp]
    return [kind for kind in every_event() if kind.service == service] + others


def kinds_of(each: EventSubscription | ReactionRule) -> Iterator[type[Event]]:
    """The events that a line is about, those of its patterns included."""
    for kind in every_event():
        if any(fnmatchcase(kind.wire_name(), pattern) for pattern in each.patterns):
            yield kind


def channel(kind: type[Event]) -> dict[str, Any]:
    name, (exchange, _) = kind.wire_name(), topology.EXCHANGES[topology.EVENTS]
    return {
        "address": name,
        "servers": [{"$ref": "#/servers/broker"}],
        "messages": {name: {"$ref": MESSAGE.format(name=name)}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {
                    "name": topology.EVENTS,
                    "type": exchange,
                    "durable": True,
                    "autoDelete": False,
                    "vhost": topology.VHOST,
                },
                "bindingVersion": "0.3.0",
            }
        },
    }


def summary_of(kind: type[Event]) -> str:
    """The first paragraph of what the contract says of itself; empty, if it says nothing."""
    said = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    return "" if said.startswith(f"{kind.__name__}(") else said


def message(kind: type[Event]) -> dict[str, Any]:
    summary = summary_of(kind)
    return {
        "name": kind.wire_name(),
        "title": kind.__name__,
        **({"summary": summary} if summary else {}),
        "payload": {
            "allOf": [
                {"$ref": SCHEMA.format(name="CloudEvent")},
                {
                    "properties": {
                        "type": {"const": kind.wire_name()},
                        "data": {"$ref": SCHEMA.format(name=kind.__name__)},
                    }
                },
            ]
        },
    }


def does(
    service: str, listens: Iterable[EventSubscription | ReactionRule]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a service sends and receives."""
    for kind in announced_by(service):
        yield f"{service}.sends.{kind.wire_name()}", operation("send", service, kind)
    reasons: dict[type[Event], list[str]] = {}
    for each in listens:
        for kind in kinds_of(each):
            reasons.setdefault(kind, []).append(purpose(each))
    for kind, purposes in reasons.items():
        told = operation("receive", service, kind)
        yield f"{service}.receives.{kind.wire_name()}", told | {"summary": "; ".join(purposes)}


def operation(action: str, service: str, kind: type[Event]) -> dict[str, Any]:
    name = kind.wire_name()
    return {
        "action": action,
        "channel": {"$ref": CHANNEL.format(name=name)},
        "messages": [{"$ref": f"{CHANNEL.format(name=name)}/messages/{name}"}],
        "tags": [{"name": service}],
    }


def purpose(each: EventSubscription | ReactionRule) -> str:
    """What is done about it, in words."""
    if isinstance(each, EventSubscription):
        return each.call
    if each.operation == "do":
        said = " or ".join(kind.__name__ for kind in (each.announce, each.refused) if kind)
        return f"{each.command.__name__}, then {said}"
    but = (
        f", unless {each.unless.__name__} ran: then {each.retained.__name__}"
        if each.unless and each.retained
        else ""
    )
    return f"{each.command.__name__}, then {each.announce.__name__}{but}"


def table_of(kind: type[Event]) -> list[tuple[str, str]]:
    """Names and types of an event's fields."""
    return [(field.name, str(field.type)) for field in contract_fields(kind)]


def schema(request: HttpRequest) -> JsonResponse:
    """What this service announces and hears (AsyncAPI 3.0)."""
    listens = import_string(settings.SUBSCRIPTIONS)
    return JsonResponse(document({settings.SERVICE: listens}, f"Order Saga: {settings.SERVICE}"))


def page(request: HttpRequest) -> HttpResponse:
    """The same for people."""
    said = [(kind.wire_name(), summary_of(kind), table_of(kind)) for kind in announced_by(settings.SERVICE)]
    heard = [
        (", ".join(kind.wire_name() for kind in kinds_of(each)), purpose(each))
        for each in import_string(settings.SUBSCRIPTIONS)
    ]
    return render(
        request, "messaging/events.html", {"service": settings.SERVICE, "said": said, "heard": heard}
    )
