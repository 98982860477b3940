"""Held services: `up` keeps them stopped until they are asked for again, while an operator works on their databases.

Two files beside the announcement: what is wanted, which `up --stop` and `up --start` write, and what is so, which the
running `up` writes. Neither outlives that `up`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from compose.local.errors import LocalError
from compose.local.private_files import read_kept, write_private

WANTED, HELD = "hold.json", "held.json"
KINDS = ("web", "worker", "relay")
WAIT_SECONDS = 90.0
LOOK_SECONDS = 0.2


class NotFollowed(LocalError):
    """The running `up` did not do what it was asked for."""


class Processes(Protocol):
    """Stops and starts the processes of services by their names."""

    def stop_process(self, name: str) -> None: ...
    def restart(self, name: str) -> None: ...


def read(folder: Path, file: str = HELD) -> set[str]:
    return {*read_kept(folder / file).get("services", [])}


def write(folder: Path, file: str, services: Iterable[str]) -> None:
    write_private(folder / file, json.dumps({"services": sorted(services)}))


def ask(folder: Path, stop: Sequence[str], start: Sequence[str], seconds: float = WAIT_SECONDS) -> set[str]:
    """Ask the running `up` to hold services, or to start them again; return what is held when it has done so.

    Raises:
        NotFollowed: it did not in time.
    """
    wanted = (read(folder, WANTED) | {*stop}) - {*start}
    write(folder, WANTED, wanted)
    deadline = time.monotonic() + seconds
    while read(folder) != wanted:
        if time.monotonic() > deadline:
            raise NotFollowed(f"`up` has not done that within {seconds:.0f} s; its screen says why")
        time.sleep(LOOK_SECONDS)
    return wanted


class Holder:
    """What `up` holds at the moment; it begins with nothing."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self.folder, self.processes, self.services = folder, processes, set[str]()
        for file in (WANTED, HELD):
            write(folder, file, ())

    def holds(self, process: str) -> bool:
        return process.rpartition("-")[0] in self.services

    def follow(self) -> None:
        """Stop and start what was asked for since the last look.

        Raises:
            LocalError: a process did not start; the next look tries again.
        """
        wanted = read(self.folder, WANTED)
        for service in sorted(wanted - self.services):
            self.services.add(service)
            for kind in KINDS:
                self.processes.stop_process(f"{service}-{kind}")
        for service in sorted(self.services - wanted):
            for kind in KINDS:
                self.processes.restart(f"{service}-{kind}")
            self.services.remove(service)
        if read(self.folder) != self.services:
            write(self.folder, HELD, self.services)
