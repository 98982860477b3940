"""Hindrances: whether a service of ours is in the way of what waits for it (rule 17, the watchdog).

Each participant is asked, and only when a deadline is over: its relay may hang, or its database may be locked, while
its workers take messages. One that does not answer counts as in the way: its state is not known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog
from django.conf import settings

from celery_config.errors import clean_text
from celery_config.http.service_client import ServiceCallError, ServiceClient, read_answer
from celery_config.messaging import trouble

log = structlog.get_logger(__name__)
ASK_SECONDS = 2.0
# A service that hangs does not hold up the relay in each of its looks.
KEPT_SECONDS = 5.0
NO_ANSWER = "it does not answer"
LONGEST = 1000
Ask = Callable[[Collection[str]], Mapping[str, str]]
"""Returns what is in the way, by service; a service without trouble is left out."""


@dataclass(frozen=True)
class Told:
    """What a participant says of its own trouble."""

    trouble: list[str]


def ask_participants(services: Collection[str]) -> dict[str, str]:
    """Return what these participants say of their own trouble, or that they do not answer; nothing of the others."""
    names = sorted(services)
    if not names:
        return {}
    with ThreadPoolExecutor(len(names)) as pool:
        return {
            name: text for name, text in zip(names, pool.map(ask_participant, names), strict=True) if text
        }


def ask_participant(service: str) -> str:
    try:
        client = ServiceClient(service, seconds=ASK_SECONDS)
        found = read_answer(service, Told, client.get("/api/trouble/")).trouble
    except ServiceCallError as error:
        log.warning("a participant does not say whether it is in trouble", service=service, error=str(error))
        return NO_ANSWER
    return clean_text("; ".join(found), limit=LONGEST)


class HindranceCheck:
    """Finds which services are in the way; keeps what participants answered for some seconds.

    Args:
        ask: asks participants.
    """

    def __init__(self, ask: Ask = ask_participants) -> None:
        self.ask = ask
        self.known: dict[str, tuple[float, str]] = {}

    def find(self, services: Collection[str]) -> dict[str, str]:
        """Return what is in the way, by service; our own trouble is read, not asked for."""
        now, kept = time.monotonic(), KEPT_SECONDS * min(1.0, settings.TIMES.scale)
        others = {*services} - {settings.SERVICE}
        stale = {name for name in others if self.known.get(name, (0.0, ""))[0] <= now}
        told = self.ask(stale) if stale else {}
        self.known |= {name: (time.monotonic() + kept, told.get(name, "")) for name in stale}
        found = {name: text for name in others if (text := self.known[name][1])}
        if settings.SERVICE in services and (ours := trouble.check_messages()) != "ok":
            found[settings.SERVICE] = ours
        return found


def find_nothing(services: Collection[str]) -> Mapping[str, str]:
    """Ask no service, and find nothing."""
    return {}
