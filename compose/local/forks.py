"""Forks of a parent that has loaded a service's code, in place of processes that load it themselves.

A fork starts without the seconds that Django and its packages take, and shares with the others the memory of what was
loaded. It has the parent's environment; a process that needs another one starts by itself, as all do in containers.
"""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from compose.local.environment import ROOT
from compose.local.guardian import kill_group
from compose.local.process import Process
from compose.local.service_parent import LONGEST_MESSAGE


class Fork:
    """A running process that a parent forked; it has what `Process` needs of a `Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = threading.Event()

    def wait(self) -> int:
        """Return its exit code once it has ended, negative for a signal."""
        self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def end(self, code: int) -> None:
        self.returncode = code
        self._ended.set()


class ForkLine:
    """Our end of the socket of a parent that runs, and the forks that it made."""

    def __init__(self, line: socket.socket, name: str) -> None:
        self.has_loaded = False
        self._line = line
        self._lock = threading.Lock()
        self._forks: dict[int, Fork] = {}
        self._made: queue.SimpleQueue[Fork | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name=name, daemon=True).start()

    def ask(self, command: Sequence[str], output: BinaryIO) -> Fork | None:
        """Let the parent fork for a command, as soon as it has loaded its code; None when it has ended."""
        with self._lock, contextlib.suppress(OSError):
            socket.send_fds(self._line, [json.dumps(command).encode()], [output.fileno()])
            return self._made.get()
        return None

    def _listen(self) -> None:
        with self._line, contextlib.suppress(ConnectionResetError):
            while message := self._line.recv(LONGEST_MESSAGE):
                told = json.loads(message)
                if "code" in told:
                    self._forks.pop(told["pid"]).end(told["code"])
                elif "pid" in told:
                    fork = self._forks[told["pid"]] = Fork(told["pid"])
                    self._made.put(fork)
                else:
                    self.has_loaded = True
        self._made.put(None)
        # Without a parent no one would be told how they end.
        for fork in self._forks.values():
            kill_group(fork.pid)
            fork.end(-signal.SIGKILL)


class ServiceParent(Process):
    """The parent as a process of its own. Its forks end with it; what starts while it is away starts by itself.

    Args:
        service: the service that it loads.
        environment: its whole environment, and that of each fork.
    """

    def __init__(self, service: str, environment: Mapping[str, str]) -> None:
        super().__init__(f"{service}-parent", [], environment, ready=lambda _: self.has_loaded, cwd=ROOT)
        self.service = service
        self._line: ForkLine | None = None

    @property
    def has_loaded(self) -> bool:
        return self._line is not None and self._line.has_loaded

    def start(self, *, is_task: bool = False) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self.pass_fds = [its.fileno()]
            self.argv = self.make_command(its.fileno())
            super().start(is_task=is_task)
        self._line = ForkLine(ours, self.name)

    def make_command(self, descriptor: int) -> list[str]:
        return [sys.executable, "-m", "compose.local.service_parent", self.service, str(descriptor)]

    def make_fork(self, process: Process, output: BinaryIO) -> Fork | None:
        """Run the command of a process as a fork; None when it has another environment, or the parent is away."""
        if self._line is None or process.env != self.env:
            return None
        return self._line.ask(process.argv[1:], output)
