"""The supervisor of all processes: it starts them in parallel and leaves none behind."""

import queue
import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from compose.local.errors import ProcessFailed
from compose.local.output import LogPrinter
from compose.local.process import Deaths, Process


class Supervisor:
    """Starts processes, shows their output and stops them.

    Args:
        logs: folder of the log files, one for each process.

    `deaths` receives each process that ends although it was not asked to end.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._printer: LogPrinter | None = None
        self._processes: dict[str, Process] = {}
        self._is_closed = False
        self._held = set[str]()
        self._lock = threading.Lock()
        self.deaths: Deaths = queue.SimpleQueue()

    def __getitem__(self, name: str) -> Process:
        try:
            return self._processes[name]
        except KeyError:
            known = ", ".join(sorted(self._processes)) or "none"
            raise ProcessFailed(f"there is no process {name!r}; there are: {known}") from None

    @property
    def names(self) -> list[str]:
        return list(self._processes)

    def _adopt(self, process: Process) -> Process:
        if self._is_closed:
            raise ProcessFailed(f"{process.name} is not started: everything was stopped")
        process.deaths = self.deaths
        if process.log is None:
            process.log = self._logs / f"{process.name}.log"
            process.log.unlink(missing_ok=True)
        self._processes[process.name] = process
        return process

    def show(self) -> None:
        """Print from now on what the processes write, with the name of each before its lines."""
        self._printer = LogPrinter()
        for process in self._processes.values():
            if process.log:
                self._printer.follow(process.name, process.log)

    def start(self, processes: Iterable[Process], timeout: float = 60.0) -> None:
        """Start all at once and wait until all are ready.

        Raises:
            ProcessFailed: one ended or was not ready within `timeout` seconds.
        """
        with self._lock:
            started = [self._adopt(process) for process in processes]
            for process in started:
                process.start()
        deadline = time.monotonic() + timeout
        for process in started:
            process.wait_until_ready(max(deadline - time.monotonic(), 0.0))

    def run(self, process: Process, timeout: float = 120.0) -> None:
        """Start a process that has one task, and wait until it is done.

        Raises:
            ProcessFailed: it failed, or took longer than `timeout` seconds.
        """
        with self._lock:
            self._adopt(process).start(is_task=True)
        process.wait_until_done(timeout)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill the group of a process (SIGKILL), or send its leader another signal."""
        if number is signal.SIGKILL:
            self[name].kill()
        else:
            self[name].send(number)

    def restart(self, name: str, timeout: float = 60.0) -> None:
        """Stop a process if it runs, start it again and wait until it is ready.

        Raises:
            ProcessFailed: it ended, was not ready within `timeout` seconds, is held, or everything was stopped.
        """
        process = self[name]
        process.stop()
        with self._lock:
            if self._is_closed or name in self._held:
                raise ProcessFailed(f"{name} is not started: it was stopped")
            process.start()
        process.wait_until_ready(timeout)

    def hold(self, name: str) -> None:
        """Stop a process; nothing starts it until `release`."""
        process = self[name]
        with self._lock:
            self._held.add(name)
        process.stop()

    def release(self, name: str) -> None:
        with self._lock:
            self._held.discard(name)

    def stop(self, timeout: float = 20.0) -> None:
        """Ask all to end, in parallel; kill those that still run after `timeout` seconds.

        Nothing can be started afterwards.
        """
        with self._lock:
            self._is_closed = True
        running = [process for process in self._processes.values() if process.is_running]
        for process in running:
            process.send(process.stop_signal)
        deadline = time.monotonic() + timeout
        for process in running:
            process.wait(max(deadline - time.monotonic(), 0.0))
            process.kill()
        if self._printer:
            self._printer.close()
