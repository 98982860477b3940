"""Strategies: who chooses at each point of a simulation. Every choice has a name, so a schedule can be replayed.

A point's first option is the ordinary course. A schedule is its departures from it, by the point's name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Protocol

Options = tuple[str, ...]
NEVER = 1 << 60


class Strategy(Protocol):
    departures: dict[str, str]

    def choose(self, subject: object, aspect: str, options: Options) -> str:
        """Return which of `options` happens to `subject`; its name and `aspect` name the point."""


class RandomStrategy:
    """Departs from the ordinary course at random points, at most `most` times.

    It draws the number of points up to the next departure, which is far cheaper than a draw at each point.
    """

    def __init__(self, random: Random, most: int, rate: float) -> None:
        """
        Args:
            rate: departures a point, above 0 and below 1.
        """
        self.draw, self.left = random.random, most
        self.scale = math.log(1 - rate)
        self.departures: dict[str, str] = {}
        self.skip = self.draw_gap()

    def draw_gap(self) -> int:
        return int(math.log(1 - self.draw()) / self.scale) if self.left else NEVER

    def choose(self, subject: object, aspect: str, options: Options) -> str:
        if self.skip:
            self.skip -= 1
            return options[0]
        self.left -= 1
        self.skip = self.draw_gap()
        chosen = options[1 + int(self.draw() * (len(options) - 1))]
        self.departures[f"{subject} {aspect}"] = chosen
        return chosen


class ReplayStrategy:
    """Departs where `choices` says so, and records the points that it passed."""

    def __init__(self, choices: Mapping[str, str], trace: Callable[[str], None] | None = None) -> None:
        """
        Args:
            trace: gets a line for each departure.
        """
        self.choices, self.trace = choices, trace
        self.departures: dict[str, str] = {}
        self.points: list[tuple[str, Options]] = []

    def choose(self, subject: object, aspect: str, options: Options) -> str:
        """
        Raises:
            ValueError: the schedule chooses what cannot happen there.
        """
        point = f"{subject} {aspect}"
        self.points.append((point, options))
        chosen = self.choices.get(point, options[0])
        if chosen not in options:
            raise ValueError(f"{point}: {chosen!r} cannot happen there, only {', '.join(options)}")
        if chosen != options[0]:
            self.departures[point] = chosen
            if self.trace:
                self.trace(f"{'*':>9}    {point}: {chosen}")
        return chosen
