"""Brings back what has died or stands still, as systemd or Kubernetes would."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from compose.local.stack import Stack

LOOK_SECONDS = 0.1
REVIVED_AT_ONCE = 8
TRIES = 5


class Keeper:
    """A thread beside a stack.

    Args:
        fired: the folder in which failpoints tell what fired.
        stands: seconds after which a process that a failpoint stopped is continued.
    """

    def __init__(self, stack: Stack, fired: Path, stands: float) -> None:
        self.stack = stack
        self.fired = fired
        self.stands = stands
        self.restarts = 0
        self.troubles: list[str] = []
        self.seen: set[str] = set()
        self.one_at_a_time: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        """By process: one that dies again while it is brought back has died twice."""
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, name="keeper")

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.thread.join()

    def run(self) -> None:
        standing: dict[int, float] = {}
        # One that is being brought back must not keep others standing, whose locks it may wait for.
        with ThreadPoolExecutor(REVIVED_AT_ONCE) as pool:
            while not self.over.wait(LOOK_SECONDS):
                standing |= dict.fromkeys(self.newly_stopped(), time.monotonic() + self.stands)
                for pid, until in list(standing.items()):
                    if time.monotonic() > until:
                        del standing[pid]
                        resume(pid)
                with contextlib.suppress(queue.Empty):
                    pool.submit(self.revive, self.stack.supervisor.deaths.get_nowait().name)
            for pid in standing:
                resume(pid)

    def newly_stopped(self) -> list[int]:
        """The processes that a failpoint has stopped since the last look."""
        found = {path.name for path in self.fired.glob("*.found")} - self.seen
        pids = []
        for name in found:
            text = (self.fired / name).read_text()
            if not text:
                continue  # just being written
            self.seen.add(name)
            way = json.loads((self.fired / name.removesuffix(".found")).read_text())["way"]
            if way.startswith("stopped"):
                pids.append(int(json.loads(text)["pid"]))
        return pids

    def revive(self, name: str) -> None:
        """Start it again, also when the next failpoint kills it before it is ready."""
        with self.one_at_a_time[name]:
            for left in reversed(range(TRIES)):
                try:
                    self.stack.supervisor.restart(name)
                    self.restarts += 1
                    return
                except Exception as error:  # the run goes on, and its end says what did not come back
                    if not left:
                        self.troubles.append(f"{name} did not come back: {error}")


def resume(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
