"""The pace of calls: when the next one may begin, and how a provider's 429 lowers it. Pure; times are in seconds.

Calls are spaced evenly (the generic cell rate algorithm): each takes the next free moment, and the moment behind it is
free for the next. So any number of workers share one number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FIRST_LIMIT = 10.0
"""Calls a second after a 429, if no limit was set."""
SLOWEST = 0.2
GROWTH, GROWTH_SECONDS = 1.25, 10.0
"""A lowered pace grows by a quarter every ten seconds without another 429."""
LONGEST_GROWTH = 1000.0
"""After so many seconds every lowered pace has recovered."""
FORGOTTEN = 1000.0
"""A lowered pace that has grown to so many calls a second is none any more, if no limit was set."""


@dataclass(frozen=True)
class Pace:
    """What the workers of a service know of the pace together."""

    next_at: float = 0.0
    """When the next call may begin."""
    lowered_to: float | None = None
    """Calls a second, when a 429 lowered it last; None: it was not lowered, or has recovered."""
    lowered_at: float = 0.0

    def find_rate(self, limit: float, now: float) -> float:
        """Return how many calls a second may begin now; 0: any number.

        Args:
            limit: that of the settings; 0: none.
        """
        if self.lowered_to is None:
            return limit
        passed = min(max(0.0, now - self.lowered_at), LONGEST_GROWTH)
        grown = float(self.lowered_to * GROWTH ** (passed / GROWTH_SECONDS))
        if limit:
            return min(limit, grown)
        return grown if grown < FORGOTTEN else 0.0

    def take_turn(self, limit: float, now: float, longest: float) -> tuple[Pace, float, bool]:
        """Take the next moment; return the pace after it, how long to wait, and whether the moment was taken.

        Args:
            longest: a moment that is further away is not taken.
        """
        wait = max(0.0, self.next_at - now)
        if wait > longest:
            return self, wait, False
        rate = self.find_rate(limit, now)
        taken = replace(self, next_at=max(self.next_at, now) + (1 / rate if rate else 0.0))
        return (taken if rate else replace(taken, lowered_to=None)), wait, True

    def lower(self, limit: float, now: float, wait: float) -> Pace:
        """Return the pace after a 429: half of it, and no call before the provider wants one again.

        Args:
            wait: what `Retry-After` says; 0: nothing.
        """
        rate = self.find_rate(limit, now) or 2 * FIRST_LIMIT
        # Calls that were under way together are refused together: they lower it once.
        lowers = self.lowered_to is None or now >= self.lowered_at + 1
        lowered = replace(self, lowered_to=max(SLOWEST, rate / 2), lowered_at=now) if lowers else self
        return replace(lowered, next_at=max(self.next_at, now + wait))

    def has_recovered(self, limit: float, now: float) -> bool:
        return self.lowered_to is None or self.find_rate(limit, now) == limit
