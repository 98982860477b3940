"""A limit on calls, as providers have one: above so many in a second a call is answered 429, and does nothing."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict, deque

from compose.sandbox.http import SandboxError

WINDOW = 1.0


class TooManyCalls(SandboxError):
    status = 429

    def __init__(self, retry_after: float) -> None:
        super().__init__("too_many_calls", "more calls in a second than the provider takes")
        self.headers = {"Retry-After": str(math.ceil(retry_after))}


class CallLimit:
    """Counts the calls of the last second."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken: defaultdict[str, deque[float]] = defaultdict(deque)
        self.per_second = 0
        """0: any number."""
        self.retry_after = WINDOW

    def set(self, per_second: int, retry_after: float) -> None:
        """Allow so many calls in a second; a call above is told to come again after `retry_after` seconds."""
        with self._guard:
            self.per_second, self.retry_after = per_second, retry_after
            self._taken.clear()

    def check(self, side: str) -> None:
        """Count one call of the provider's or of the carrier's side; each has its own count.

        Raises:
            TooManyCalls: it is one too many.
        """
        if not self.per_second:
            return
        now = time.monotonic()
        with self._guard:
            taken = self._taken[side]
            while taken and taken[0] <= now - WINDOW:
                taken.popleft()
            if len(taken) >= self.per_second:
                raise TooManyCalls(self.retry_after)
            taken.append(now)
