"""Background threads: each runs one piece of work at a time, and keeps its database connection for the next.

A new connection costs some ten milliseconds of CPU, most of it for the password. A thread that has had no work for a
while ends, so there are no more threads and connections than pieces of work that run at the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from celery_config.db.limits import slow_statements

IDLE_SECONDS = 90.0
"""Longer than the pause between two runs of most duties, so that few of them log in again."""


class BackgroundThread(threading.Thread):
    """A thread whose statements may take their time."""

    def __init__(self, idle: list[BackgroundThread]) -> None:
        super().__init__(name="background", daemon=True)
        self.idle = idle
        self.work = SimpleQueue[Callable[[], None] | None]()

    def run(self) -> None:
        with slow_statements():
            while work := self.take_work():
                work()
                self.idle.append(self)

    def take_work(self) -> Callable[[], None] | None:
        """Wait for work; None: there was none for a while, and there will be none."""
        try:
            return self.work.get(timeout=IDLE_SECONDS)
        except Empty:
            try:
                self.idle.remove(self)
            except ValueError:  # it is given work at this moment
                return self.work.get()
            return None


class BackgroundThreads:
    """Threads that wait for work, or are made for it. The one that was busy last is taken first."""

    def __init__(self) -> None:
        self.idle: list[BackgroundThread] = []

    def run(self, work: Callable[[], None]) -> None:
        """Let a thread do this work, which raises nothing, at once."""
        try:
            thread = self.idle.pop()
        except IndexError:
            thread = BackgroundThread(self.idle)
            thread.start()
        thread.work.put(work)

    def end_idle(self) -> None:
        """End the threads that have no work, and wait until their connections are closed."""
        idle = [self.idle.pop() for _ in range(len(self.idle))]
        for thread in idle:
            thread.work.put(None)
        for thread in idle:
            thread.join()
