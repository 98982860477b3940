"""Circuit breaker: a service that fails again and again gets no calls for a while (Nygard, Release It!, chapter 5)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class CircuitOpen(Exception):
    """The call was not made: the last calls failed, and the next one is made after the reset time-out."""


class CircuitBreaker:
    """The circuit to one service, shared by the threads of a process.

    Args:
        failures: in a row that open the circuit.
        reset_timeout: seconds without calls; then one call probes the service, and the others wait for its outcome.
        counts: whether an exception is a failure of the service.
    """

    def __init__(self, *, failures: int, reset_timeout: float, counts: Callable[[Exception], bool]) -> None:
        self.failures, self.reset_timeout, self.counts = failures, reset_timeout, counts
        self.lock = threading.Lock()
        self.failed = 0
        self.half_open_at = 0.0

    def call(self, function: Callable[[], T]) -> T:
        """Call the function.

        Raises:
            CircuitOpen: it was not called.
        """
        self.check_open()
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

    def check_open(self) -> None:
        with self.lock:
            if self.failed < self.failures:
                return
            if time.monotonic() < self.half_open_at:
                raise CircuitOpen(f"{self.failed} calls in a row failed; the next one is made later")
            # This call probes; if it never returns, another one probes after the same time-out.
            self.half_open_at = time.monotonic() + self.reset_timeout

    def note_failure(self) -> None:
        with self.lock:
            self.failed += 1
            self.half_open_at = time.monotonic() + self.reset_timeout

    def note_success(self) -> None:
        with self.lock:
            self.failed = 0
