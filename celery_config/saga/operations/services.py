"""What every service says of itself at `/flowz`, and how long the queues are: the relay asks, pages read it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from django.conf import settings

from celery_config.common.services import SERVICES
from celery_config.errors import clean_text
from celery_config.http.client import forget_stream
from celery_config.http.service_client import deadline, http_client
from celery_config.messaging.models import Observation
from celery_config.messaging.observations import note
from celery_config.saga.engine.standstill import StandstillCheck

SERVICES_SEEN, QUEUES_SEEN = "services", "queues"
CONTRADICTIONS = "contradictions"
"""The check by which a service says so; celery_config/messaging/measures.py."""
ASK_SECONDS = 6.0
"""A little longer than a service takes at most to say what does not move."""
LOOK_SECONDS = 10.0
MOST_CHECKS, LONGEST = 50, 500
FINE = ("ok", "warning")
SILENT = "service"
"""In place of a service's checks: it gave no answer, or none that can be read."""


@dataclass(frozen=True)
class ServiceHealth:
    """What a service said of itself."""

    service: str
    moves: bool
    says: Mapping[str, str]
    """Its checks: `ok`, a warning, or what is wrong."""
    at: datetime

    @property
    def faults(self) -> dict[str, str]:
        return {name: text for name, text in self.says.items() if not text.startswith("ok")}


@dataclass(frozen=True)
class QueueDepth:
    """A queue of the broker as the watchdog saw it."""

    queue: str
    messages: int | None
    """None: without a consumer the broker does not say."""
    consumers: int


def look_at_services() -> None:
    """Ask every service at once what moves there, and keep the answers."""
    with ThreadPoolExecutor(len(SERVICES)) as pool:
        note(SERVICES_SEEN, dict(zip(SERVICES, pool.map(ask_service, SERVICES), strict=True)))


def ask_service(service: str) -> dict[str, Any]:
    """Return the answer of a service's `/flowz`, or that there is none."""
    try:
        with deadline.hold(ASK_SECONDS):
            answer = http_client(os.getpid(), settings.SERVICE_URLS[service]).get(
                "/flowz", timeout=ASK_SECONDS
            )
        forget_stream(answer)
        found = answer.json()
    except (httpx.HTTPError, ValueError, RecursionError):
        return {"flows": False, SILENT: "does not answer"}
    return read_health(found)


def read_health(found: Any) -> dict[str, Any]:
    """Return what a service says as pages show it. It spoils nothing that is known of the others."""
    if not isinstance(found, dict):
        return {"flows": False, SILENT: "answers nonsense"}
    told = {name: found[name] for name in [name for name in found if name != "flows"][:MOST_CHECKS]}
    says = {
        clean_text(name, limit=LONGEST): clean_text(str(text), limit=LONGEST) for name, text in told.items()
    }
    return {**says, "flows": found.get("flows") is True}


def look_at_queues(standstill: StandstillCheck) -> None:
    """Keep what the watchdog's last look saw of the queues."""
    workers = standstill.workers
    queues = {name: [workers.lengths.get(name), count] for name, count in workers.consumers.items()}
    note(QUEUES_SEEN, {"queues": queues})


def list_services(seen: Mapping[str, Observation]) -> list[ServiceHealth]:
    """Return what each service said when it was asked last; nothing before the first look."""
    found = seen.get(SERVICES_SEEN)
    if found is None:
        return []
    answers = []
    for service, told in found.content.items():
        says = {name: str(text) for name, text in told.items() if name != "flows"}
        answers.append(ServiceHealth(service, bool(told.get("flows")), says, found.at))
    return answers


def list_contradicted(seen: Mapping[str, Observation]) -> list[ServiceHealth]:
    """Return the services that heard from outside what cannot be true by what they know."""
    return [each for each in list_services(seen) if each.says.get(CONTRADICTIONS)]


def list_queues(seen: Mapping[str, Observation]) -> list[QueueDepth]:
    """Return the queues of the broker: those without a worker first, then the longest."""
    found = seen.get(QUEUES_SEEN)
    queues = found.content["queues"] if found else {}
    depths = [QueueDepth(name, messages, consumers) for name, (messages, consumers) in queues.items()]
    return sorted(depths, key=lambda each: (each.consumers > 0, -(each.messages or 0), each.queue))
