"""The words of pages and terminal: statuses, points in time, lengths of time, counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery_config.saga.states import Status

STATUS_WORDS: Mapping[Status, str] = {
    Status.RUNNING: "on its way",
    Status.STOPPING: "being cancelled",
    Status.FORWARD: "being finished",
    Status.COMPLETED: "done",
    Status.COMPENSATED: "cancelled, everything undone",
    Status.PARKED: "waits for a decision",
}


@dataclass(frozen=True)
class Moment:
    """A point in time in a sentence; a page adds how far away it is."""

    at: datetime
    away: bool = False
    """Whether the text says how far away it is."""
    day_only: bool = False


Part = str | Moment


def describe_status(status: str) -> str:
    """Return a status in plain words; one that is not known as it is."""
    return STATUS_WORDS.get(Status(status), status) if status in {*Status} else status


def format_moment(moment: Moment, now: datetime) -> str:
    """Return "22:36 UTC (3 h 56 min)"; with the day if it is not today's."""
    at = moment.at.astimezone(now.tzinfo)
    day = f"{at.day} {at:%B}" + (f" {at.year}" if at.year != now.year else "")
    if moment.day_only:
        return day
    clock = f"{at:%H:%M %Z}".strip()
    told = clock if at.date() == now.date() else f"{day} {clock}"
    if not moment.away:
        return told
    return f"{told} ({format_span(abs(at - now))}{' ago' if at < now else ''})"


def format_span(span: timedelta) -> str:
    """Return a length of time with its two largest units: "3 h 56 min"."""
    seconds = span.total_seconds()
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    units = [("d", whole // 86400), ("h", whole // 3600 % 24), ("min", whole // 60 % 60), ("s", whole % 60)]
    first = next(i for i, (_, count) in enumerate(units) if count)
    return " ".join(f"{count} {unit}" for unit, count in units[first : first + 2] if count)


def merge_texts(parts: Iterable[Part]) -> Iterator[Part]:
    """Join texts that follow each other."""
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
            continue
        if text:
            yield text
            text = ""
        yield part
    if text:
        yield text


def describe_times(failure: Mapping[str, Any]) -> str:
    """Return how often a step failed, if that is known."""
    times = failure.get("times")
    return f", {describe_count(times)}" if isinstance(times, int) and times > 1 else ""


def describe_count(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def format_ordinal(number: int) -> str:
    """Return "third", or "21st"."""
    if 0 < number <= len(ORDINALS):
        return ORDINALS[number - 1]
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def count_steps(count: int) -> str:
    return "its one step is done" if count == 1 else f"all {count} steps are done"


def capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


def end_sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
