"""The words of pages and terminal: statuses, counts, acts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from celery_config.common.moments import Moment
from celery_config.saga.states import Status

STATUS_WORDS: Mapping[Status, str] = {
    Status.RUNNING: "on its way",
    Status.STOPPING: "being cancelled",
    Status.FORWARD: "being finished",
    Status.COMPLETED: "done",
    Status.COMPENSATED: "cancelled, everything undone",
    Status.PARKED: "waits for a decision",
}
Part = str | Moment


def describe_status(status: str) -> str:
    """Return a status in plain words; one that is not known as it is."""
    return STATUS_WORDS.get(Status(status), status) if status in {*Status} else status


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
