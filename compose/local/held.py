"""Held services: `up` keeps them stopped until they are asked for again, while an operator works on their databases.

Two files beside the announcement: what is wanted, which `up --stop` and `up --start` write, and what is so, which the
running `up` writes. Neither outlives that `up`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from compose.local.errors import LocalError
from compose.local.private_files import read_kept, write_private
from compose.local.roles import list_roles

WANTED, HELD = "hold.json", "held.json"
WAIT_SECONDS = 90.0
LOOK_SECONDS = 0.2


class NotFollowed(LocalError):
    """The running `up` did not do what it was asked for."""


class Processes(Protocol):
    """Holds the processes of services by their names: what is held is stopped, and nothing starts it."""

    def hold(self, name: str) -> None: ...
    def release(self, name: str) -> None: ...


def read(folder: Path, file: str = HELD, key: str = "services") -> set[str]:
    return {*read_kept(folder / file).get(key, [])}


def write(folder: Path, file: str, services: Iterable[str], starting: Iterable[str] = ()) -> None:
    write_private(folder / file, json.dumps({"services": sorted(services), "starting": sorted(starting)}))


def ask(folder: Path, stop: Sequence[str], start: Sequence[str], seconds: float = WAIT_SECONDS) -> set[str]:
    """Ask the running `up` to hold services, or to start them again; return what is held when it has done so.

    Raises:
        NotFollowed: it did not in time.
    """
    wanted = (read(folder, WANTED) | {*stop}) - {*start}
    write(folder, WANTED, wanted)
    deadline = time.monotonic() + seconds
    while read(folder) != wanted or not read(folder, key="starting").isdisjoint(start):
        if time.monotonic() > deadline:
            raise NotFollowed(f"`up` has not done that within {seconds:.0f} s; its screen says why")
        time.sleep(LOOK_SECONDS)
    return wanted


class Holder:
    """What `up` holds at the moment; it begins with nothing.

    Args:
        start: starts a process, and tries again while it does not start; it does not wait for that. It calls
            `note_start` when the process is ready.
    """

    def __init__(self, folder: Path, processes: Processes, start: Callable[[str], None]) -> None:
        self.folder, self.processes, self.start = folder, processes, start
        self.services = set[str]()
        self.starting = set[str]()
        self.lock = threading.Lock()
        """What is so changes together with its file."""
        for file in (WANTED, HELD):
            write(folder, file, ())

    def holds(self, process: str) -> bool:
        return read_service_name(process) in self.services

    def note_start(self, process: str) -> None:
        with self.lock:
            if process in self.starting:
                self.starting.remove(process)
                self.write()

    def follow(self) -> None:
        """Stop and start what was asked for since the last look."""
        wanted = read(self.folder, WANTED)
        for service in sorted(wanted - self.services):
            names = name_processes(service)
            with self.lock:
                self.services.add(service)
                self.starting -= {*names}
            for name in names:
                self.processes.hold(name)
            with self.lock:
                self.write()
        for service in sorted(self.services - wanted):
            names = name_processes(service)
            with self.lock:
                self.services.remove(service)
                self.starting |= {*names}
                self.write()
            for name in names:
                self.processes.release(name)
                self.start(name)

    def write(self) -> None:
        write(self.folder, HELD, self.services, map(read_service_name, self.starting))


def name_processes(service: str) -> list[str]:
    return [f"{service}-{role}" for role in list_roles(service)]


def read_service_name(process: str) -> str:
    return process.rpartition("-")[0]
