"""Where a schedule may turn: every point has a name and options, of which the first is the ordinary course.

A schedule is what was chosen against the ordinary course, by the point's name; so it can be read, shortened and
played again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Protocol

Options = tuple[str, ...]
NEVER = 1 << 60


class Strategy(Protocol):
    made: dict[str, str]

    def choose(self, subject: object, aspect: str, options: Options) -> str:
        """Which of `options` happens to `subject`; its name and `aspect` name the point."""


class RandomStrategy:
    """Departs from the ordinary course at random points, `most` times at most.

    It draws how many points to let pass before the next departure, which is far cheaper than a draw at each.
    """

    def __init__(self, random: Random, most: int, rate: float) -> None:
        """
        Args:
            rate: departures a point, above 0 and below 1.
        """
        self.draw, self.left = random.random, most
        self.scale = math.log(1 - rate)
        self.made: dict[str, str] = {}
        self.passing = self.next()

    def next(self) -> int:
        return int(math.log(1 - self.draw()) / self.scale) if self.left else NEVER

    def choose(self, subject: object, aspect: str, options: Options) -> str:
        if self.passing:
            self.passing -= 1
            return options[0]
        self.left -= 1
        self.passing = self.next()
        chosen = options[1 + int(self.draw() * (len(options) - 1))]
        self.made[f"{subject} {aspect}"] = chosen
        return chosen


class ReplayStrategy:
    """Departs where `made` says so, and keeps which points were passed."""

    def __init__(self, made: Mapping[str, str], tell: Callable[[str], None] | None = None) -> None:
        """
        Args:
            tell: gets a line for each departure.
        """
        self.wanted, self.tell = made, tell
        self.made: dict[str, str] = {}
        self.passed: list[tuple[str, Options]] = []

    def choose(self, subject: object, aspect: str, options: Options) -> str:
        """
        Raises:
            ValueError: the schedule wants something that cannot happen there.
        """
        point = f"{subject} {aspect}"
        self.passed.append((point, options))
        chosen = self.wanted.get(point, options[0])
        if chosen not in options:
            raise ValueError(f"{point}: {chosen!r} cannot happen there, only {', '.join(options)}")
        if chosen != options[0]:
            self.made[point] = chosen
            if self.tell:
                self.tell(f"{'*':>9}    {point}: {chosen}")
        return chosen
