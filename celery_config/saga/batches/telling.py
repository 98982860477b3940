"""A batch in one sentence, for its page. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from celery_config.saga.batches.states import BatchState, ItemOutcome, ItemState

WORDS: Mapping[str, str] = {
    BatchState.CHECKING.value: "being checked",
    BatchState.READY.value: "ready to start",
    BatchState.TRYING.value: "tries one",
    BatchState.RUNNING.value: "at work",
    BatchState.PAUSED.value: "paused",
    BatchState.STOPPED.value: "stopped",
    BatchState.ENDED.value: "ended",
}


def describe_state(state: str) -> str:
    """Return where a batch stands in a few words."""
    return WORDS[state]


def describe_state_change(before: str, after: str) -> str:
    """Return what becomes of a batch, as its dialog and its message say it: "ready to start → at work"."""
    return f"{describe_state(before)} → {describe_state(after)}"


def tell_batch(state: str, note: str, parts: Iterable[tuple[str, str, int]]) -> str:
    """Return one sentence: what is being done, how far it is, and what the operator may do next.

    Args:
        parts: how many flows have which state and which outcome.
    """
    counts: Counter[str] = Counter()
    for item_state, outcome, count in parts:
        counts[item_state] += count
        if item_state == ItemState.ACTED:
            counts[outcome] += count
    whole = sum(counts[each] for each in ItemState.values)
    acted, waiting = counts[ItemState.ACTED], counts[ItemState.CHECKED]
    match BatchState(state):
        case BatchState.CHECKING:
            checked = whole - counts[ItemState.CHOSEN]
            return f"The services are asked about each: {checked} of {whole} checked. Nothing is changed yet."
        case BatchState.READY:
            return f"Checked: {whole}. Nothing is changed yet. Start it to act on {waiting}."
        case BatchState.TRYING:
            others = waiting if acted else max(0, waiting - 1)
            return f"One is tried first. The other {others} follow when it has ended."
        case BatchState.RUNNING:
            return f"It is at work: acted on {acted}, {waiting} left."
        case BatchState.PAUSED:
            return f"It is paused{': ' + note if note else ''}. Acted on {acted}, {waiting} left."
        case BatchState.STOPPED:
            ending = f"It was stopped: acted on {acted}; the rest is left alone."
        case BatchState.ENDED:
            ending = f"It has acted on {acted} of {whole}."
    if under_way := counts[ItemOutcome.UNDER_WAY]:
        ending += f" Still on {'its' if under_way == 1 else 'their'} way: {under_way}."
    if again := counts[ItemOutcome.PARKED]:
        ending += f" Waiting for a decision again: {again}."
    return ending
