"""Restarts processes that died and continues those that were stopped, as systemd or Kubernetes does."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from compose.local.stack import Stack

POLL_SECONDS = 0.1
RESTARTS_AT_ONCE = 8
TRIES = 5


class Restarter:
    """A thread beside a stack.

    Args:
        fired: the folder in which failpoints write what fired.
        stop_seconds: after so many a process that a failpoint stopped is continued.
    """

    def __init__(self, stack: Stack, fired: Path, stop_seconds: float) -> None:
        self.stack = stack
        self.fired = fired
        self.stop_seconds = stop_seconds
        self.restarts = 0
        self.failures: list[str] = []
        self.seen: set[str] = set()
        self.process_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        """By process: when it dies again during its restart, a second restart follows the first."""
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, name="restarter")

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.thread.join()

    @contextlib.contextmanager
    def leave_alone(self, names: Sequence[str]) -> Iterator[None]:
        """Start none of these processes in the block, which stops and starts them itself."""
        with contextlib.ExitStack() as locks:
            for name in names:
                locks.enter_context(self.process_locks[name])
            yield

    def run(self) -> None:
        stopped: dict[int, float] = {}
        # A restart must not delay the others: it may wait for a lock of a process that is still stopped.
        with ThreadPoolExecutor(RESTARTS_AT_ONCE) as pool:
            while not self.over.wait(POLL_SECONDS):
                stopped |= dict.fromkeys(self.find_newly_stopped(), time.monotonic() + self.stop_seconds)
                for pid, until in list(stopped.items()):
                    if time.monotonic() > until:
                        del stopped[pid]
                        resume_process(pid)
                with contextlib.suppress(queue.Empty):
                    pool.submit(self.restart_process, self.stack.supervisor.deaths.get_nowait().name)
            for pid in stopped:
                resume_process(pid)

    def find_newly_stopped(self) -> list[int]:
        """Return the processes that a failpoint has stopped since the last call."""
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

    def restart_process(self, name: str) -> None:
        """Start it again, also if the next failpoint kills it before it is ready."""
        with self.process_locks[name]:
            for left in reversed(range(TRIES)):
                try:
                    self.stack.supervisor.restart(name)
                    self.restarts += 1
                    return
                except Exception as error:  # the run goes on and reports this at its end
                    if not left:
                        self.failures.append(f"{name} did not come back: {error}")


def resume_process(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
