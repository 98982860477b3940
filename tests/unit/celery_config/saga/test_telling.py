"""A batch in one sentence."""

from __future__ import annotations

import pytest

from celery_config.saga.batches.telling import tell_batch


def part(state: str, count: int, outcome: str = "") -> tuple[str, str, int]:
    return state, outcome, count


@pytest.mark.parametrize(
    ("state", "parts", "says"),
    [
        ("checking", [part("chosen", 3), part("checked", 1)], "1 of 4 checked. Nothing is changed yet."),
        ("ready", [part("checked", 3), part("refused", 1)], "4. Nothing is changed yet. Start it to act on 3."),
        ("trying", [part("acted", 1), part("checked", 9)], "One is tried first. The other 9 follow when it has ended."),
        ("trying", [part("checked", 10)], "One is tried first. The other 9 follow when it has ended."),
        ("running", [part("acted", 4), part("checked", 6)], "It is at work: acted on 4, 6 left."),
        ("paused", [part("acted", 1), part("checked", 9)], "It is paused: look first. Acted on 1, 9 left."),
        ("stopped", [part("acted", 4, "compensated"), part("left alone", 6)], "acted on 4; the rest is left alone."),
        ("ended", [part("acted", 1, "parked")], "Waiting for a decision again: 1."),
        ("ended", [part("acted", 4, "compensated"), part("acted", 2)], "Still on their way: 2."),
    ],
)  # fmt: skip
def test_it_says_how_far_it_is(state: str, parts: list[tuple[str, str, int]], says: str) -> None:
    told = tell_batch(state, "look first" if state == "paused" else "", parts)
    assert told.endswith(says)
