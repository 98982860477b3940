"""Time-outs in an order that never changes, whatever their scale (rule 18, who gives up first). Pure.

One call in total < one command over REST < a step's tries < the watchdog's silence < the saga's deadline < the undo
drives. `SAGA_TIME_SCALE=0.03` turns a silence of 2 minutes into 3.6 s, so that tests see everything in seconds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from celery_config.errors import DefinitionError

RETRY_JITTER = 0.25


@dataclass(frozen=True)
class Timeouts:
    """All values in seconds.

    Raises:
        DefinitionError: the scale is so small that a call outlasts the watchdog's silence; `queued_deadlines` under 1.
    """

    scale: float = 1.0
    # These depend on the machine, not on the protocol, and therefore do not scale.
    lock_wait: float = 3.0
    """Short, because a wait delays every message of a batch."""
    publish: float = 10.0
    clock_step: float = 5.0
    queued_deadlines: float = 4.0
    """How many of its deadlines a saga may last while what it waits for is in a queue that is being worked off."""

    def __post_init__(self) -> None:
        if self.queued_deadlines < 1:
            raise DefinitionError(f"QUEUED_DEADLINES={self.queued_deadlines:g} is under 1")
        if self.longest_tries(1) >= self.silence_timeout:
            raise DefinitionError(
                f"SAGA_TIME_SCALE={self.scale:g} leaves no time for a call of {self.call:g} s; use 0.03 or more"
            )

    def period(self, seconds: float) -> float:
        """How often a duty runs that runs every so many seconds at a scale of one; at most four times as often.

        More often would cost more than what the duties wait for.
        """
        return seconds * min(1.0, max(0.25, self.scale))

    @property
    def call(self) -> float:
        """One call to the outside in total, its connection retries included; never less than a second."""
        return max(1.0, 10 * self.scale)

    @property
    def command(self) -> float:
        """One command over REST in total: longer than the call that the participant may make for it.

        Otherwise both give up at the same time, and the command is sent again although it was carried out.
        """
        return self.call + 2 * self.scale

    @property
    def retry_delays(self) -> tuple[float, ...]:
        """Waits between a step's tries: as many as fit into the silence even if every try times out."""
        planned = [self.scale * s for s in (1, 4, 12, 28)]
        while self.longest_tries(len(planned) + 1, planned) >= self.silence_timeout:
            planned.pop()
        return tuple(planned)

    @property
    def next_try_within(self) -> float:
        """How long a message that failed may be away before its next try has failed as well."""
        return (1 + RETRY_JITTER) * max(self.away, *self.retry_delays) + 2 * self.lock_wait

    @property
    def away(self) -> float:
        """The wait before the next call to a service that was away; such a call does not count as a try."""
        return 5 * self.scale

    def longest_tries(self, count: int, delays: Sequence[float] = ()) -> float:
        """How long `count` tries take when each times out and each wait is the longest possible."""
        return count * self.command + (1 + RETRY_JITTER) * sum(delays[: count - 1])

    @property
    def silence_timeout(self) -> float:
        return 120 * self.scale

    @property
    def compensation_timeout(self) -> float:
        """How long a stop, or what follows the pivot, is driven before the saga is parked for a human."""
        return 24 * 3600 * self.scale

    def deadline(self, seconds: float) -> float:
        return seconds * self.scale

    @property
    def in_hand(self) -> float:
        """How long a worker may have a message in hand, of which nothing else is known."""
        return self.silence_timeout / 2

    def longest_queued(self, deadline_seconds: float) -> float:
        """How long a saga may last while it waits in queues; its deadline is given before scaling."""
        return self.queued_deadlines * self.deadline(deadline_seconds)

    def silence_after(self, drives: int) -> float:
        """The wait before the next drive: doubled each time, at most an hour, with a jitter of a fifth."""
        return self.silence_between(drives) * random.uniform(0.9, 1.1)

    def soon_after(self, drives: int) -> float:
        """The wait before the next check of a saga after an error; it grows with the drives, too.

        Otherwise a step that fails for hours would be driven twice a minute, by its own errback.
        """
        return self.silence_between(drives) / 4

    def silence_between(self, drives: int) -> float:
        """The wait before the next drive without its jitter."""
        return min(self.silence_timeout * 2.0 ** min(drives, 16), 3600 * self.scale)

    def retry_delay(self, tries: int) -> float | None:
        """The wait before try number `tries + 1`, with jitter; None when no tries are left."""
        if tries >= len(self.retry_delays):
            return None
        return self.retry_delays[tries] * random.uniform(1 - RETRY_JITTER, 1 + RETRY_JITTER)

    def check_ordering(self, deadline_seconds: float) -> str | None:
        """Return what is wrong with a saga's deadline, or None.

        Args:
            deadline_seconds: before scaling.
        """
        tries = self.longest_tries(len(self.retry_delays) + 1, self.retry_delays)
        steps = [
            ("one call", self.call),
            ("one command over REST", self.command),
            ("a step's tries", tries),
            ("the watchdog's silence", self.silence_timeout),
            ("the saga's deadline", self.deadline(deadline_seconds)),
            ("the undo drives", self.compensation_timeout),
        ]
        for (name, value), (next_name, next_value) in pairwise(steps):
            if value >= next_value:
                return f"{name} ({value:g} s) must give up before {next_name} ({next_value:g} s)"
        return None
