"""Routes: where a message goes, as one text. Messages of one route wait together. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery_config.broker import topology

MAX_ROUTE = 511


def find_route(message: Mapping[str, Any]) -> str:
    """Where a message goes, as `Celery.send_task` takes it. Tasks for one queue have one route, whatever their keys."""
    options = message["options"]
    exchange, key = options.get("exchange"), options.get("routing_key")
    return join_route(exchange, topology.find_target(exchange, key) if isinstance(key, str) else key)


def events_route(kind: str) -> str:
    """Where the events of one type go."""
    return join_route(topology.EVENTS, kind)


def join_route(exchange: Any, routing_key: Any) -> str:
    return f"{exchange}/{routing_key}"[:MAX_ROUTE]
