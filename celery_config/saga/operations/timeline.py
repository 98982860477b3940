"""The timeline of a flow: what happened, in a lane a service; a long silence is squeezed and says its length. Pure.

lay_out(happenings, lanes)      # a Timeline with places in units of its picture
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from celery_config.common.moments import format_span
from celery_config.saga.flow_facts import Happening, HappeningKind

OPERATORS = "operators"
WIDTH = 960
LEFT, RIGHT = 96, 28
TOP, LANE = 24, 34
SQUEEZED_AFTER = timedelta(seconds=10)
# What a glance takes in; the table has all.
MOST_SHOWN = 60
# A mark needs this much room, in units of a silence of ten seconds.
LEAST = 0.35


LEGEND = {
    HappeningKind.BEGAN: "it began",
    HappeningKind.DONE: "a step was done",
    HappeningKind.REFUSED: "a service refused",
    HappeningKind.UNDONE: "a step was undone",
    HappeningKind.TRIED: "a try failed, and is repeated",
    HappeningKind.FAILED: "a service gave up",
    HappeningKind.SENT: "it was sent again",
    HappeningKind.DECIDED: "the order service decided",
    HappeningKind.ACTED: "an operator acted",
    HappeningKind.ENDED: "it ended",
}
"""What each mark means."""


@dataclass(frozen=True)
class Mark:
    """One happening in the picture."""

    x: int
    y: int
    kind: HappeningKind
    title: str


@dataclass(frozen=True)
class Silence:
    """A long time in which nothing happened."""

    x: int
    label: str


@dataclass(frozen=True)
class Lane:
    name: str
    y: int


@dataclass(frozen=True)
class Timeline:
    """A picture of `width` and `height`, and its rows for those who do not see it."""

    width: int
    height: int
    lanes: Sequence[Lane]
    marks: Sequence[Mark]
    silences: Sequence[Silence]
    rows: Sequence[Happening]
    left_out: int = 0
    """How many of the earliest happenings are in the rows alone."""

    @property
    def legend(self) -> list[tuple[HappeningKind, str]]:
        """The kinds of marks in the picture, and what they mean."""
        shown = {mark.kind for mark in self.marks}
        return [(kind, words) for kind, words in LEGEND.items() if kind in shown]


def lay_out(happenings: Sequence[Happening], lanes: Sequence[str]) -> Timeline:
    """Return the timeline of what happened.

    Args:
        happenings: in any order.
        lanes: the services, from top to bottom; that of the operators is added where one of them did something.
    """
    rows = sorted(happenings, key=lambda each: each.at)
    shown = rows[-MOST_SHOWN:]
    names = [*lanes, *([OPERATORS] if any(each.lane == OPERATORS for each in shown) else [])]
    places = {name: TOP + LANE // 2 + LANE * i for i, name in enumerate(names)}
    times = sorted({each.at for each in shown})
    xs = dict(zip(times, place_times(times), strict=True))
    return Timeline(
        width=WIDTH,
        height=TOP + LANE * len(names) + 8,
        lanes=[Lane(name, y) for name, y in places.items()],
        marks=[
            Mark(xs[each.at], places[each.lane], each.kind, f"{each.at:%H:%M:%S.%f}"[:-3] + f" {each.text}")
            for each in shown
            if each.lane in places
        ],
        silences=list(find_silences(times, xs)),
        rows=rows,
        left_out=len(rows) - len(shown),
    )


def place_times(times: Sequence[datetime]) -> list[int]:
    """Return where each time stands: short gaps apart as their logarithms are, long ones all alike."""
    steps = [LEAST + weigh_gap(after - before) for before, after in pairwise(times)]
    whole = sum(steps) or 1.0
    room = min(WIDTH - LEFT - RIGHT, whole * 150)
    places, at = [LEFT], 0.0
    for step in steps:
        at += step
        places.append(LEFT + round(at / whole * room))
    return places[: len(times)]


def weigh_gap(gap: timedelta) -> float:
    """Return 0 of no gap, 1 of ten seconds and of anything longer."""
    seconds = min(gap, SQUEEZED_AFTER).total_seconds()
    return math.log1p(seconds * 100) / math.log1p(SQUEEZED_AFTER.total_seconds() * 100)


def find_silences(times: Sequence[datetime], xs: dict[datetime, int]) -> Iterator[Silence]:
    for before, after in pairwise(times):
        if after - before > SQUEEZED_AFTER:
            yield Silence((xs[before] + xs[after]) // 2, format_span(after - before))
