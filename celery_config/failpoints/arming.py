"""Armed failpoints: a process dies once at a chosen point, so that every crash can be tested. Tests only.

    FAILPOINTS=FOLDER     every process that starts with this variable reads FOLDER/armed

Each file in that folder is one failpoint: the point, the operation that reaches it, and the way to
die. The first process that reaches it claims the file, so each failpoint fires once, however many processes run and
however often they start again; FOLDER/fired shows what fired, and where. Without FAILPOINTS `reach` does nothing, and
production refuses the variable. The idea is FreeBSD's fail(9).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from celery_config.failpoints import points
from celery_config.failpoints.points import Point, Way


@dataclass(frozen=True)
class Failpoint:
    """One death that waits for a process."""

    point: Point
    operation: str
    """What runs there: a task's name, an event's type, a duty of the relay, `POST orders`; empty: anything."""
    way: Way
    skip: int = 0
    """How often the point is passed unharmed first; it replays a run from its seed."""


class Armed:
    """The failpoints of one folder, as one process sees them.

    Args:
        ports: of the database and of the broker's hosts.
    """

    def __init__(self, folder: Path, ports: dict[Way, Collection[int]]) -> None:
        self.armed, self.fired = folder / "armed", folder / "fired"
        self.ports = ports
        self.read_at = 0
        self.waiting: dict[str, Failpoint] = {}
        self.passed: dict[str, int] = {}

    def reach(self, point: Point) -> Way | None:
        """Die here if a failpoint says so; return the way, if the process lives on after it."""
        self.read_changes()
        operations = ("", *current_operations())
        for name, failpoint in list(self.waiting.items()):
            if failpoint.point is not point or failpoint.operation not in operations:
                continue
            if self.passed.get(name, 0) < failpoint.skip:
                self.passed[name] = self.passed.get(name, 0) + 1
            elif self.claim(name):
                self.die(failpoint.way)
                return failpoint.way
        return None

    def read_changes(self) -> None:
        """Read what is armed, if it has changed."""
        changed_at = self.armed.stat().st_mtime_ns
        if changed_at == self.read_at:
            return
        self.read_at, self.waiting = changed_at, {}
        for path in self.armed.glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # another process has just claimed it
                fields = json.loads(path.read_text())
                self.waiting[path.name] = Failpoint(
                    Point(fields["point"]), fields["operation"], Way(fields["way"]), fields["skip"]
                )

    def claim(self, name: str) -> bool:
        """Claim a failpoint: its rename succeeds once."""
        self.waiting.pop(name, None)  # another thread may be here, too
        place = {"pid": os.getpid(), **structlog.contextvars.get_contextvars()}
        try:
            (self.armed / name).rename(self.fired / name)
        except FileNotFoundError:
            return False
        (self.fired / f"{name}.found").write_text(json.dumps(place, default=str))
        return True

    def die(self, way: Way) -> None:
        match way:
            case Way.KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            case Way.STOP:
                os.kill(os.getpid(), signal.SIGSTOP)
            case Way.NO_DATABASE | Way.NO_BROKER:
                for connection in find_connections(self.ports[way]):
                    with connection, contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)


def current_operations() -> list[str]:
    """What runs in this thread, by the context of its log lines; events of several types may be one batch."""
    context = structlog.contextvars.get_contextvars()
    names = (context.get(name) for name in ("event", "task", "duty", "endpoint"))
    return str(next(filter(None, names), "")).split(",")


def find_connections(ports: Collection[int]) -> Iterator[socket.socket]:
    """Yield every TCP connection of this process to one of the ports, whatever code opened it."""
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            connection = socket.socket(fileno=os.dup(int(descriptor)))
            over_ip = connection.family in (socket.AF_INET, socket.AF_INET6)
            if over_ip and connection.getpeername()[1] in ports:
                yield connection
            else:
                connection.close()


def make_folders(folder: Path) -> None:
    for part in ("armed", "fired"):
        (folder / part).mkdir(parents=True, exist_ok=True)


def install(folder: Path, *, database_port: int, broker_ports: Collection[int]) -> None:
    """Let this process read `folder` at every point."""
    make_folders(folder)
    points.react_with(Armed(folder, {Way.NO_DATABASE: [database_port], Way.NO_BROKER: broker_ports}).reach)
