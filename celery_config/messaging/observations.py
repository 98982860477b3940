"""Observations: what a service's relay saw last of others, such as services, queues and books; pages read it here.

A page that is asked for every two seconds must not wait for another service. An observation has its time, so a page
says how old it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery_config.db.functions import Now
from celery_config.messaging.models import Observation
from celery_config.messaging.outbox.relay import BackgroundDuty, Duty


def note(name: str, content: Any) -> None:
    """Keep what was seen now in place of what was seen before."""
    Observation.objects.update_or_create(pk=name, defaults={"content": content, "at": Now()})


def read_observations() -> dict[str, Observation]:
    """Return all of them by name; one query. Each knows its age."""
    return {row.name: row for row in Observation.objects.annotate(read_at=Now())}


def find_observation(name: str) -> Observation | None:
    """Return one of them; None: it was not seen yet."""
    return Observation.objects.annotate(read_at=Now()).filter(pk=name).first()


def compute_age(seen: Observation) -> float:
    """Return how many seconds ago it was seen when it was read, by the database's clock."""
    row: Any = seen
    return max(0.0, float((row.read_at - row.at).total_seconds()))


def find_age(name: str) -> float | None:
    """Return how many seconds ago it was seen; None: it was not seen yet."""
    found = find_observation(name)
    return compute_age(found) if found else None


def make_duty(name: str, look: Callable[[], Any], seconds: float) -> Duty:
    """Make a duty of the relay that keeps what `look` returns, every so many seconds."""
    duty = BackgroundDuty(f"{name} seen", lambda: note(name, look()))
    return Duty(duty.name, duty.start, seconds)
