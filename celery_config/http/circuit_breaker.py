"""A circuit breaker: who has failed again and again is left alone for a while (Nygard, Release It!, chapter 5)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class CircuitOpen(Exception):
    """Nobody was called: the last calls failed, and the next one is made when the rest is over."""


class CircuitBreaker:
    """Of one service, shared by the threads of a process.

    Args:
        failures: in a row after which it is left alone.
        rest: seconds for which it is left alone; then one call probes it, and the others go on waiting for its outcome.
        counts: whether an exception says that the service is unwell.
    """

    def __init__(self, *, failures: int, rest: float, counts: Callable[[Exception], bool]) -> None:
        self.failures, self.rest, self.counts = failures, rest, counts
        self.lock = threading.Lock()
        self.failed = 0
        self.closed_again_at = 0.0

    def call(self, function: Callable[[], T]) -> T:
        """Call the function.

        Raises:
            CircuitOpen: it was not called.
        """
        self.enter()
        try:
            answer = function()
        except Exception as error:
            if self.counts(error):
                self.note_failure()
            else:
                self.note_success()
            raise
        self.note_success()
        return answer

    def enter(self) -> None:
        with self.lock:
            if self.failed < self.failures:
                return
            if time.monotonic() < self.closed_again_at:
                raise CircuitOpen(f"{self.failed} calls in a row failed; the next one is made later")
            # This call probes; should it never come back, another one does after the same rest.
            self.closed_again_at = time.monotonic() + self.rest

    def note_failure(self) -> None:
        with self.lock:
            self.failed += 1
            self.closed_again_at = time.monotonic() + self.rest

    def note_success(self) -> None:
        with self.lock:
            self.failed = 0
