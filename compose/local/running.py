"""The announcement of a running stack: a file in its folder, from which other commands join it.

`up` and `demo` have a folder each, so each has its own announcement. One whose process has ended says nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from celery_config.common.services import ORCHESTRATOR
from compose.local.private_files import read_kept, write_private
from compose.local.secrets import select_environment

FILE = "running.json"
DEMO = "demo"
"""The folder of `demo`, within that of `up`."""


@dataclass(frozen=True)
class Announcement:
    """A running stack.

    Args:
        pid: of the process that runs it.
        command: its command line; a number is given to a later process too.
        environment: what its processes have and the shell does not.
        flower: the address of Flower; empty: there is none.
    """

    pid: int
    command: list[str]
    environment: dict[str, str]
    flower: str = ""

    def is_alive(self) -> bool:
        try:
            return bool(psutil.Process(self.pid).cmdline() == self.command)
        except psutil.Error:
            return False


@contextmanager
def announce(
    folder: Path,
    environment: Mapping[str, str],
    inherited: Mapping[str, str] = os.environ,
    *,
    flower: str = "",
) -> Iterator[None]:
    """Let other commands join this stack while the block runs."""
    ours = {name: value for name, value in environment.items() if inherited.get(name) != value}
    me = psutil.Process()
    announcement = Announcement(me.pid, me.cmdline(), ours, flower)
    write_private(folder / FILE, json.dumps(asdict(announcement)))
    try:
        yield
    finally:
        if read_announcement(folder) == announcement:
            (folder / FILE).unlink(missing_ok=True)


def read_announcement(folder: Path) -> Announcement | None:
    """The announcement of the stack that runs in `folder`; None: none runs."""
    kept = read_kept(folder / FILE)
    try:
        announcement = Announcement(**kept)
    except TypeError:
        return None
    return announcement if announcement.is_alive() else None


def find_running(var: Path) -> list[Announcement]:
    """The stacks of `up` and of `demo` that run in `var`."""
    return [found for folder in (var, var / DEMO) if (found := read_announcement(folder))]


def join_stack(var: Path, service: str) -> bool:
    """Take over what a command of `service` needs of the stack that runs in `var`; of two, the one of `up`.

    A variable that is set already wins, except for the folder: `demo` has a folder of its own within `var`.

    Returns:
        Whether a stack runs there.
    """
    found = find_running(var)
    if not found:
        return False
    known = select_environment(
        found[0].environment, service, administers=True, operates=service == ORCHESTRATOR
    )
    for name, value in known.items():
        os.environ.setdefault(name, value)
    os.environ["ORDER_SAGA_VAR"] = found[0].environment.get("ORDER_SAGA_VAR", str(var))
    return True
