"""The AsyncAPI 3.0 document (https://www.asyncapi.com): it is built from contracts, topology and subscriptions."""

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
from django.utils.html import format_html, format_html_join
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString

from celery_config.broker import topology
from celery_config.common.services import ORCHESTRATOR, SERVICES
from celery_config.contracts.base import Event, StepGaveUp, StepTried, contract_fields
from celery_config.contracts.subscriptions import EventSubscription, ReactionRule

Line = EventSubscription | ReactionRule
Subscriptions = Mapping[str, Sequence[Line]]
"""The lines of each service's `subscriptions.py`."""
SCHEMA, MESSAGE, CHANNEL = "#/components/schemas/{name}", "#/components/messages/{name}", "#/channels/{name}"
ENVELOPE: dict[str, Any] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "format": "uuid", "description": "a repeat of the event has the same id"},
        "source": {"type": "string", "format": "uri-reference"},
        "subject": {"type": "string", "minLength": 1, "description": "the order, the SKU or the customer"},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "saga": {
            "type": "string",
            "format": "uuid",
            "description": "the saga, or the order if it has no saga",
        },
        "step": {"type": "string", "description": "of a saga"},
        "operation": {"enum": ["do", "undo"]},
        "outcome": {"enum": ["done", "refused", "undone", "failed"]},
        "flow": {"const": "choreographed"},
        "drive": {
            "type": "integer",
            "minimum": 1,
            "description": "the event was published before and is repeated",
        },
        "known": {
            "type": "string",
            "description": "steps that the order service knows to be done, separated by spaces",
        },
        "mandate": {
            "type": "string",
            "description": "what the order service asks each service for in a choreographed order, with its codes",
        },
        "proofs": {"type": "string", "description": "that steps of a choreographed order ran"},
        "mac": {
            "type": "string",
            "description": "proves the source of an event that every service may announce",
        },
        "requestid": {"type": "string", "description": "the request that began the order"},
        "traceparent": {
            "type": "string",
            "description": "the trace of the order, see https://www.w3.org/TR/trace-context/",
        },
        "epoch": {
            "type": "string",
            "description": "of the database of a published table; versions of different epochs do not compare",
        },
    },
}
ABOUT = """\
Every event is a CloudEvent 1.0 in structured mode.
On the broker it is the keyword arguments of the Celery task `events.receive`; a message's body is `[[], EVENT, {}]`.
One message may carry several events of a type, as `[[], {"events": [EVENT, …]}, {}]` of the task `events.receive_all`.
`GET /api/events/` of each service returns them unchanged.

Readers ignore fields that they do not know.
An event only gains fields that have a default; any other change makes a new event, so the type determines the schema.
An event that a subscriber cannot decode goes to the dead letters."""
BROKER = {
    "host": "broker:5672", "pathname": f"/{topology.VHOST}", "protocol": "amqp", "description": "RabbitMQ",
}  # fmt: skip


def build_document(subscriptions: Subscriptions, title: str = "Order Saga") -> dict[str, Any]:
    """The document of these services: what they announce and what they receive."""
    announced = [kind for service in subscriptions for kind in list_announced(service)]
    received = [kind for lines in subscriptions.values() for line in lines for kind in match_events(line)]
    kinds = list(dict.fromkeys([*announced, *received]))
    schemas = msgspec.json.schema_components(kinds, ref_template=SCHEMA)[1]
    operations = [
        each for service, lines in subscriptions.items() for each in list_operations(service, lines)
    ]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": "1", "description": ABOUT},
        "defaultContentType": "application/cloudevents+json",
        "servers": {"broker": BROKER},
        "channels": {kind.wire_name(): build_channel(kind) for kind in kinds},
        "operations": dict(operations),
        "components": {
            "messages": {kind.wire_name(): build_message(kind) for kind in kinds},
            "schemas": {"CloudEvent": ENVELOPE, **schemas},
        },
    }


def list_events() -> list[type[Event]]:
    """All events of all services."""
    modules = [importlib.import_module(f"celery_config.contracts.{each}") for each in SERVICES]
    return [
        kind
        for module in modules
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, Event) and kind.__module__ == module.__name__
    ] + [StepGaveUp, StepTried]


def list_announced(service: str) -> list[type[Event]]:
    others = [] if service == ORCHESTRATOR else [StepGaveUp, StepTried]
    return [kind for kind in list_events() if kind.service == service] + others


def match_events(line: Line) -> Iterator[type[Event]]:
    """The events that match the patterns of a line."""
    for kind in list_events():
        if any(fnmatchcase(kind.wire_name(), pattern) for pattern in line.patterns):
            yield kind


def build_channel(kind: type[Event]) -> dict[str, Any]:
    name, (exchange_type, _) = kind.wire_name(), topology.EXCHANGES[topology.EVENTS]
    exchange = {
        "name": topology.EVENTS, "type": exchange_type, "durable": True, "autoDelete": False, "vhost": topology.VHOST,
    }  # fmt: skip
    return {
        "address": name,
        "servers": [{"$ref": "#/servers/broker"}],
        "messages": {name: {"$ref": MESSAGE.format(name=name)}},
        "bindings": {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": "0.3.0"}},
    }


def read_summary(kind: type[Event]) -> str:
    """The first paragraph of the contract's docstring; empty if it has none."""
    text = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    return "" if text.startswith(f"{kind.__name__}(") else text


def mark_names(text: str) -> SafeString:
    """A docstring as people read it: what stands between backticks as code."""
    parts = enumerate(text.split("`"))
    return format_html_join(
        "", "{}", ([format_html("<code>{}</code>", part) if n % 2 else part] for n, part in parts)
    )


def build_message(kind: type[Event]) -> dict[str, Any]:
    summary = read_summary(kind)
    data = {"$ref": SCHEMA.format(name=kind.__name__)}
    properties = {"type": {"const": kind.wire_name()}, "data": data}
    return {
        "name": kind.wire_name(),
        "title": kind.__name__,
        **({"summary": summary} if summary else {}),
        "payload": {"allOf": [{"$ref": SCHEMA.format(name="CloudEvent")}, {"properties": properties}]},
    }


def list_operations(service: str, lines: Iterable[Line]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a service sends and receives."""
    for kind in list_announced(service):
        yield f"{service}.sends.{kind.wire_name()}", build_operation("send", service, kind)
    reactions: dict[type[Event], list[str]] = {}
    for line in lines:
        for kind in match_events(line):
            reactions.setdefault(kind, []).append(describe_reaction(line))
    for kind, described in reactions.items():
        received = build_operation("receive", service, kind)
        yield f"{service}.receives.{kind.wire_name()}", received | {"summary": "; ".join(described)}


def build_operation(action: str, service: str, kind: type[Event]) -> dict[str, Any]:
    name = kind.wire_name()
    return {
        "action": action,
        "channel": {"$ref": CHANNEL.format(name=name)},
        "messages": [{"$ref": f"{CHANNEL.format(name=name)}/messages/{name}"}],
        "tags": [{"name": service}],
    }


def describe_reaction(line: Line) -> str:
    """What the service does with the event."""
    if isinstance(line, EventSubscription):
        return line.call
    if line.operation == "do":
        announced = " or ".join(kind.__name__ for kind in (line.announce, line.refused) if kind)
        return f"{line.command.__name__}, then {announced}"
    text = f"{line.command.__name__}, then {line.announce.__name__}"
    if line.unless and line.retained:
        text += f", unless {line.unless.__name__} ran: then {line.retained.__name__}"
    return text


def list_fields(kind: type[Event]) -> list[tuple[str, str]]:
    """Names and types of an event's fields."""
    return [(field.name, str(field.type)) for field in contract_fields(kind)]


def show_schema(request: HttpRequest) -> JsonResponse:
    """What this service announces and receives, as AsyncAPI 3.0."""
    lines = import_string(settings.SUBSCRIPTIONS)
    return JsonResponse(build_document({settings.SERVICE: lines}, f"Order Saga: {settings.SERVICE}"))


def show_page(request: HttpRequest) -> HttpResponse:
    """The same as a page for people."""
    announced = [
        (kind.wire_name(), mark_names(read_summary(kind)), list_fields(kind))
        for kind in list_announced(settings.SERVICE)
    ]
    received = [
        (", ".join(kind.wire_name() for kind in match_events(line)), describe_reaction(line))
        for line in import_string(settings.SUBSCRIPTIONS)
    ]
    context = {"service": settings.SERVICE, "announced": announced, "received": received}
    return render(request, "messaging/events.html", context)
