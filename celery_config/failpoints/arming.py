"""Named points at which a process can be made to die, so that every crash can be tried. Tests only.

    FAILPOINTS=FOLDER     every process that starts so looks for its end in FOLDER/armed

Each file there is one failpoint (`arm` writes it): the point, the operation it is to hit there, and the way. The first
process that reaches it takes the file away, so that each fires once, whoever else comes by and however often the
process is started again; what fired, and where, is found in FOLDER/fired. Without FAILPOINTS `reach` does nothing, and
in production the variable is refused. The idea is FreeBSD's fail(9).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import structlog

from celery_config.failpoints import points
from celery_config.failpoints.points import Point, Way

VARIABLE = "FAILPOINTS"


@dataclass(frozen=True)
class Failpoint:
    """One end that waits for a process."""

    point: Point
    operation: str
    """What runs there: a task's name, an event's type, a duty of the relay, `POST orders`; empty: whatever."""
    way: Way
    skip: int = 0
    """So many times the point is passed unharmed first; by this a run is replayed from its seed."""


class Armed:
    """The failpoints of one folder, as one process sees them."""

    def __init__(self, folder: Path, ports: dict[Way, int]) -> None:
        """
        Args:
            ports: of the database and of the broker.
        """
        self.armed, self.fired = folder / "armed", folder / "fired"
        self.ports = ports
        self.seen = 0
        self.waiting: dict[str, Failpoint] = {}
        self.passed: dict[str, int] = {}

    def reach(self, point: Point) -> Way | None:
        """Die here if a failpoint says so; return the way, if one can live on after it."""
        self.look()
        operations = ("", *current_operations())
        for name, failpoint in list(self.waiting.items()):
            if failpoint.point is not point or failpoint.operation not in operations:
                continue
            if self.passed.get(name, 0) < failpoint.skip:
                self.passed[name] = self.passed.get(name, 0) + 1
            elif self.take(name):
                self.die(failpoint.way)
                return failpoint.way
        return None

    def look(self) -> None:
        """Read what is armed, if it has changed."""
        changed = self.armed.stat().st_mtime_ns
        if changed == self.seen:
            return
        self.seen, self.waiting = changed, {}
        for path in self.armed.glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # another process has just taken it
                found = json.loads(path.read_text())
                self.waiting[path.name] = Failpoint(
                    Point(found["point"]), found["operation"], Way(found["way"]), found["skip"]
                )

    def take(self, name: str) -> bool:
        """Claim it: a rename succeeds once."""
        self.waiting.pop(name, None)  # another thread may stand here too
        found = {"pid": os.getpid(), **structlog.contextvars.get_contextvars()}
        try:
            (self.armed / name).rename(self.fired / name)
        except FileNotFoundError:
            return False
        (self.fired / f"{name}.found").write_text(json.dumps(found, default=str))
        return True

    def die(self, way: Way) -> None:
        match way:
            case Way.KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            case Way.STOP:
                os.kill(os.getpid(), signal.SIGSTOP)
            case Way.NO_DATABASE | Way.NO_BROKER:
                for connection in connections_to(self.ports[way]):
                    with connection, contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)


def current_operations() -> list[str]:
    """What runs in this thread, by the context of its log lines; events of several types may be one batch."""
    context = structlog.contextvars.get_contextvars()
    names = (context.get(name) for name in ("event", "task", "duty", "endpoint"))
    return str(next(filter(None, names), "")).split(",")


def connections_to(port: int) -> Iterator[socket.socket]:
    """Every TCP connection that this process has to `port`, whoever opened it."""
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            connection = socket.socket(fileno=os.dup(int(descriptor)))
            over_ip = connection.family in (socket.AF_INET, socket.AF_INET6)
            if over_ip and connection.getpeername()[1] == port:
                yield connection
            else:
                connection.close()


def arm(folder: Path, failpoint: Failpoint) -> str:
    """Let the next process that comes by die so; return the name under which it is found in `fired`."""
    name = f"{uuid4()}.json"
    for part in ("armed", "fired"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    draft = folder / name
    draft.write_text(json.dumps(asdict(failpoint)))
    draft.rename(folder / "armed" / name)
    return name


def disarm(folder: Path) -> None:
    """Take away what has not fired."""
    for path in (folder / "armed").glob("*.json"):
        path.unlink(missing_ok=True)


def install(folder: Path, *, database_port: int, broker_port: int) -> None:
    """Let this process look for its end in `folder` at every point."""
    for part in ("armed", "fired"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    points.react_with(Armed(folder, {Way.NO_DATABASE: database_port, Way.NO_BROKER: broker_port}).reach)
