"""Which message of an incident is due: what stands is told once, repeated while it lasts, and over once. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

LOOKS_UNTIL_OVER = 2.5
"""What comes and goes is one incident: it is over when so many looks in a row have not found it."""
FIRST_DELAY, GROWTH, LONGEST_DELAY = 5.0, 4, 3600.0
MOST_ATTEMPTS = 30
"""About a day."""


@dataclass(frozen=True)
class Standing:
    """An incident, as far as it decides what is sent."""

    tell_at: datetime
    acknowledged: bool = False
    over: bool = False


@dataclass(frozen=True)
class Past:
    """What one rule was sent of an incident.

    Args:
        opened_at: when the first message was written; None: there is none.
        was_told: whether any message arrived.
        waits: whether one is still to be sent, or to be tried again.
        repeats: the number of the last repeat.
        has_over: whether its end was told.
    """

    opened_at: datetime | None = None
    was_told: bool = False
    waits: bool = False
    repeats: int = 0
    has_over: bool = False


@dataclass(frozen=True)
class Due:
    """A message that is to be sent now."""

    message: str
    number: int = 0


def find_due(
    incident: Standing, past: Past, *, wanted: bool, repeat_seconds: float, now: datetime
) -> Due | None:
    """Return the message that one rule is sent now; None: there is none.

    Messages of one incident keep their order: while one cannot be sent, no other is written.

    Args:
        wanted: whether the rule is of such incidents.
        repeat_seconds: 0: nothing is repeated.
    """
    if past.waits:
        return None
    if incident.over:
        return Due("over") if past.was_told and not past.has_over else None
    if not wanted or now < incident.tell_at:
        return None
    if past.opened_at is None:
        return Due("opened")
    if incident.acknowledged or not repeat_seconds:
        return None
    # What was missed while this process did not run is not made up for.
    number = int((now - past.opened_at).total_seconds() / repeat_seconds)
    return Due("continues", number) if number > past.repeats else None


def is_settled(incident: Standing, pasts: Iterable[Past]) -> bool:
    """Whether nothing more is ever sent of an incident."""
    return incident.over and all(not past.waits and (past.has_over or not past.was_told) for past in pasts)


def find_delay(attempts: int) -> float | None:
    """Return how many seconds after a failure the next try is due; None: it is given up.

    Args:
        attempts: how many have failed.
    """
    if attempts >= MOST_ATTEMPTS:
        return None
    return min(LONGEST_DELAY, FIRST_DELAY * float(GROWTH) ** (attempts - 1))
