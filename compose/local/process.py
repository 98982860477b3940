"""One process of the system: a command, its log and its end. It never outlives us, and its children never outlive it.

Each process leads a session and a process group of its own, so that Ctrl-C at the terminal reaches only us. It writes
straight into its log file: it never waits for us to read, and the file stays when we are gone. What it makes is for its
user alone.
"""

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias

from celery_config.common.private_folders import UMASK
from compose.local.errors import ProcessFailed
from compose.local.guardian import guardian, kill_group
from compose.local.private_files import append_private

_LINES_SHOWN = 20
_SECONDS_BETWEEN_CHECKS = 0.1
_ENDING_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGKILL}


@dataclass(frozen=True)
class Death:
    """The end of a process that was not asked to end."""

    name: str
    exit_code: int
    last_lines: list[str]

    def __str__(self) -> str:
        how = f"exit code {self.exit_code}"
        if self.exit_code < 0:
            how = f"killed by {signal.Signals(-self.exit_code).name}"
        return "\n  ".join([f"{self.name} ended unexpectedly ({how}); its last lines:", *self.last_lines])


class Running(Protocol):
    """What is running: a `Popen`, or a fork of a parent."""

    pid: int
    returncode: int | Any

    def wait(self) -> int: ...


Deaths: TypeAlias = "queue.SimpleQueue[Death]"
ReadyCheck: TypeAlias = "Callable[[Process], bool]"
ForkMaker: TypeAlias = "Callable[[Process, BinaryIO], Running | None]"


def at_once(_: "Process") -> bool:
    """Ready as soon as it runs."""
    return True


def cannot_fork(_: "Process", __: BinaryIO) -> None:
    """Stand in for the parent of a process that has none."""


def popen_user(user: str | None) -> dict[str, Any]:
    """Return the arguments with which `subprocess` runs a command as `user` and its group; as ourselves when None."""
    return {"user": user, "group": user, "extra_groups": None if user is None else []}


@dataclass(eq=False)
class Process:
    """A command, and its running process once started.

    Args:
        name: its name in logs and errors.
        argv: the command.
        env: its whole environment; ours when None.
        ready: the check that says when it is ready.
        log: the file that receives its output.
        cwd: its working directory.
        stop_signal: asks it to end in good order; sent to the leader alone, which knows its children.
        user: the user and group to run as; only root may name one.
        pass_fds: open files that it shares with us.
        fork: makes it as a fork of a parent that has loaded its code, with a file for its output; None: it cannot.
        deaths: receives its end when it was not asked to end.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None
    ready: ReadyCheck = at_once
    log: Path | None = None
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    user: str | None = None
    pass_fds: Sequence[int] = ()
    fork: ForkMaker = cannot_fork
    deaths: Deaths = field(default_factory=queue.SimpleQueue)
    _running: Running | None = None
    _ended: threading.Event = field(default_factory=threading.Event)
    _end_is_expected: bool = False
    _log_start: int = 0

    @property
    def pid(self) -> int:
        """The process id of the leader, which is also its process group.

        Raises:
            ProcessFailed: it was never started.
        """
        if self._running is None:
            raise ProcessFailed(f"{self.name} was not started")
        return self._running.pid

    @property
    def is_running(self) -> bool:
        return self._running is not None and not self._ended.is_set()

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._running.returncode if self._running and self._ended.is_set() else None

    def start(self, *, is_task: bool = False) -> None:
        """Start it; its output is appended to the log.

        Args:
            is_task: it has one task and then ends by itself.

        Raises:
            ProcessFailed: it runs already, or the command cannot be executed.
        """
        if self.is_running:
            raise ProcessFailed(f"{self.name} runs already (process {self.pid})")
        self._end_is_expected = is_task
        self._ended = threading.Event()
        with append_private(self.log) if self.log else open(os.devnull, "ab") as sink:
            # A log may hold the lines of earlier starts; a device has no size.
            self._log_start = os.fstat(sink.fileno()).st_size
            running = self._running = self.fork(self, sink) or self._open(sink)
        guardian.watch(running.pid, self.stop_signal)
        threading.Thread(
            target=self._attend, args=(running, self._ended), name=f"attend-{self.name}", daemon=True
        ).start()

    def _open(self, sink: BinaryIO) -> Running:
        try:
            return subprocess.Popen(
                self.argv,
                env=None if self.env is None else dict(self.env),
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=UMASK,
                pass_fds=self.pass_fds,
                **popen_user(self.user),
            )
        except OSError as error:
            raise ProcessFailed(f"{self.name} cannot be started: {error}") from error

    def _attend(self, running: Running, ended: threading.Event) -> None:
        code = running.wait()
        kill_group(running.pid)
        guardian.forget(running.pid)
        if not self._end_is_expected:
            self.deaths.put(Death(self.name, code, self.last_lines()))
        ended.set()

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Wait until the check says that it is ready.

        Raises:
            ProcessFailed: it ended first, or was not ready within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while not self.ready(self):
            if self._ended.wait(_SECONDS_BETWEEN_CHECKS):
                raise ProcessFailed(str(Death(self.name, self.exit_code or 0, self.last_lines())))
            if time.monotonic() > deadline:
                raise ProcessFailed(
                    "\n  ".join([f"{self.name} was not ready within {timeout:.0f} s:", *self.last_lines()])
                )

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it has ended; return the exit code, or None when `timeout` seconds passed first."""
        self._ended.wait(timeout)
        return self.exit_code

    def wait_until_done(self, timeout: float = 120.0) -> None:
        """Wait until its one task is done.

        Raises:
            ProcessFailed: the exit code is not 0, or `timeout` seconds passed.
        """
        code = self.wait(timeout)
        if code is None:
            self.kill()
            raise ProcessFailed(f"{self.name} did not finish within {timeout:.0f} s")
        if code != 0:
            raise ProcessFailed(str(Death(self.name, code, self.last_lines())))

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the leader; after a signal that asks it to end, its end is expected."""
        self._end_is_expected = self._end_is_expected or number in _ENDING_SIGNALS
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the whole group at once, as a power cut would, and wait for its end."""
        self._end_is_expected = True
        if self.is_running:
            kill_group(self.pid)
            self._ended.wait()

    def stop(self, timeout: float = 20.0) -> None:
        """Ask it to end; after `timeout` seconds kill its group."""
        self.send(self.stop_signal)
        if self._running is not None and not self._ended.wait(timeout):
            self.kill()

    def output(self) -> str:
        """Return what it wrote since its last start."""
        if self.log is None or not self.log.exists():
            return ""
        with open(self.log, "rb") as file:
            # It may have been rolled over.
            file.seek(self._log_start if self._log_start <= os.fstat(file.fileno()).st_size else 0)
            return file.read().decode(errors="replace")

    def last_lines(self, count: int = _LINES_SHOWN) -> list[str]:
        """Return the last `count` lines of its output."""
        return self.output().splitlines()[-count:]
