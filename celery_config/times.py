"""Who gives up first (rule 18): every time of the protocol, in seconds, scaled together. Pure.

One call in total < a step's retries < the watchdog's silence < the saga's deadline < the undo drives.
`SAGA_TIME_SCALE=0.02` makes a silence of 2.4 s out of 2 minutes, so that tests see everything in seconds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Times:
    """All values in seconds."""

    scale: float = 1.0
    # These follow the machine, not the protocol's patience, and therefore do not scale.
    lock_wait: float = 10.0
    publish: float = 30.0
    clock_step: float = 5.0

    @property
    def call(self) -> float:
        """One call outside in total, its own connection retries included; never less than a second."""
        return max(1.0, 20 * self.scale)

    @property
    def retry_delays(self) -> tuple[float, ...]:
        """Waits between a step's tries; about one minute in all."""
        return tuple(self.scale * s for s in (1, 3, 8, 16, 32))

    @property
    def silence(self) -> float:
        return 120 * self.scale

    @property
    def longest_silence(self) -> float:
        return 3600 * self.scale

    @property
    def undo_for(self) -> float:
        """How long a stop (or what follows the pivot) is driven before a human is asked."""
        return 24 * 3600 * self.scale

    def deadline(self, seconds: float) -> float:
        return seconds * self.scale

    def silence_after(self, drives: int) -> float:
        """The wait before the next drive: doubling, at most an hour, jittered by a fifth."""
        base = min(self.silence * 2.0 ** min(drives, 16), self.longest_silence)
        return base * random.uniform(0.9, 1.1)

    def retry_delay(self, tries: int) -> float | None:
        """The wait before try number `tries + 1`, jittered; None when the tries are used up."""
        if tries >= len(self.retry_delays):
            return None
        return self.retry_delays[tries] * random.uniform(0.75, 1.25)

    def order_of_patience(self, deadline_seconds: float) -> str | None:
        """What is wrong with a saga's deadline, or None."""
        steps = [
            ("a step's retries", sum(self.retry_delays) / self.scale),
            ("the watchdog's silence", self.silence / self.scale),
            ("the saga's deadline", deadline_seconds),
            ("the undo drives", self.undo_for / self.scale),
        ]
        for (name, value), (next_name, next_value) in pairwise(steps):
            if value >= next_value:
                return f"{name} ({value:g} s) must give up before {next_name} ({next_value:g} s)"
        return None
