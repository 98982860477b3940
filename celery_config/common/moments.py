"""Points in time and lengths of time, in the words of pages, terminal and messages. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Moment:
    """A point in time in a sentence; a page adds how far away it is."""

    at: datetime
    away: bool = False
    """Whether the text says how far away it is."""
    day_only: bool = False


def format_moment(moment: Moment, now: datetime) -> str:
    """Return "22:36 UTC (in 3 h 56 min)"; with the day if it is not today's."""
    at = moment.at.astimezone(now.tzinfo)
    day = f"{at.day} {at:%B}" + (f" {at.year}" if at.year != now.year else "")
    if moment.day_only:
        return day
    clock = f"{at:%H:%M %Z}".strip()
    told = clock if at.date() == now.date() else f"{day} {clock}"
    if not moment.away:
        return told
    span = format_span(abs(at - now))
    return f"{told} ({span} ago)" if at < now else f"{told} (in {span})"


def format_span(span: timedelta) -> str:
    """Return a length of time with its two largest units: "3 h 56 min"."""
    seconds = span.total_seconds()
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    units = [("d", whole // 86400), ("h", whole // 3600 % 24), ("min", whole // 60 % 60), ("s", whole % 60)]
    first = next(i for i, (_, count) in enumerate(units) if count)
    return " ".join(f"{count} {unit}" for unit, count in units[first : first + 2] if count)
