"""The faults of a chaos run. Each returns when it is over and what it hit is restarting or running again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.table import Table

from celery_config.broker.topology import commands_queue
from celery_config.common.services import PARTICIPANTS, SERVICES
from compose.local.errors import LocalError
from compose.local.postgres import PostgresServer
from compose.local.rabbitmq import RabbitServer
from compose.local.stack import Stack
from tests.chaos.cases import list_cases
from tests.chaos.failpoints import arm
from tests.chaos.queue_faults import disturb_queue
from tests.chaos.stuck_queue import declare_queue
from tests.chaos.system import STOP_SECONDS, choose_version, fetch_rows, stop_process, stop_processes
from tests.service.broker import alarmed, frozen, leaderless

ROLES = ("worker", "relay", "web")
# Versions of the flow. The first one sends its commands over REST; its orders are under way when the second one comes.
FIRST_VERSION, SECOND_VERSION = 3, 1
AWAY_SECONDS = 60.0
FIRING_SECONDS = 15.0
POLL_SECONDS = 0.1
TRIES = 5
# Longer than the broker's heartbeats and than a statement may take.
HANG_SECONDS = (5.0, 12.0)
# Longer than an order's deadline.
ALARM_SECONDS = 35.0
CUT = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s AND usename = %s"


@dataclass
class FaultCounts:
    """How often each kind of fault landed while orders or events were under way, and how often it missed."""

    landed: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)

    def make_table(self) -> Table:
        table = Table("fault", "landed mid-flight", "missed")
        for kind in sorted(set(self.landed) | set(self.missed)):
            table.add_row(kind, str(self.landed[kind]), str(self.missed[kind]))
        return table


class Faults:
    """Causes faults in one stack.

    Args:
        folder: of the failpoints.
        chance: draws what fails, and where.
    """

    def __init__(self, stack: Stack, folder: Path, chance: random.Random) -> None:
        self.stack = stack
        self.folder = folder
        self.chance = chance
        self.server_lock = threading.Lock()  # PostgreSQL and RabbitMQ are not killed at the same time
        self.cases = list_cases()
        self.kinds: dict[str, tuple[Callable[[], bool], int]] = {
            "worker killed": (lambda: self.kill_process("worker"), 6),
            "relay killed": (lambda: self.kill_process("relay"), 4),
            "web killed": (lambda: self.kill_process("web"), 6),
            "a process stopped for some seconds": (self.pause_process, 5),
            "killed at a failpoint": (self.fire_failpoint, 10),
            "database connections cut": (self.cut_database_connections, 5),
            "PostgreSQL killed": (lambda: self.kill_server(self.stack.postgres), 2),
            "RabbitMQ killed": (lambda: self.kill_server(self.stack.rabbitmq), 2),
            "PostgreSQL hung": (self.hang_database, 2),
            "RabbitMQ hung": (self.hang_broker, 2),
            "an alarm of RabbitMQ": (self.raise_alarm, 2),
            "a queue that answers nothing": (self.hang_queue, 2),
            "messages duplicated": (lambda: self.disturb_queue("duplicated"), 5),
            "messages delayed": (lambda: self.disturb_queue("delayed"), 4),
            "messages reordered": (lambda: self.disturb_queue("reordered"), 4),
        }
        """By name: what causes the fault, and its weight. The cause returns False when there was nothing to hit."""

    def draw_kind(self) -> str:
        return self.chance.choices(list(self.kinds), [weight for _, weight in self.kinds.values()])[0]

    def cause(self, kind: str) -> bool:
        """Cause a fault of this kind; return False when there was nothing to hit."""
        return self.kinds[kind][0]()

    def kill_process(self, role: str) -> bool:
        return self.send_signal(f"{self.chance.choice([*SERVICES])}-{role}", signal.SIGKILL)

    def deploy_second_version(self) -> bool:
        """Let new orders use the second version while orders of the first one are under way.

        The restarter starts the process again. A web server that is dead at present may be restarting with the first
        version, so the signal waits for it.
        """
        choose_version(self.stack, SECOND_VERSION)
        end = time.monotonic() + FIRING_SECONDS
        while not self.send_signal("order-web", signal.SIGTERM):
            if time.monotonic() > end:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def send_signal(self, name: str, number: signal.Signals) -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.stack.supervisor[name].pid, number)
            return True
        return False

    def pause_process(self) -> bool:
        name = f"{self.chance.choice([*SERVICES])}-{self.chance.choice(ROLES)}"
        with stop_process(self.stack, name) as is_stopped:
            if is_stopped:
                time.sleep(STOP_SECONDS)
        return is_stopped

    def hang_relay(self, seconds: float = ALARM_SECONDS) -> bool:
        """Stop a participant's relay for longer than a deadline: its workers take messages, its events do not leave."""
        with stop_process(self.stack, f"{self.chance.choice(PARTICIPANTS)}-relay") as is_stopped:
            if is_stopped:
                time.sleep(seconds)
        return is_stopped

    def fire_failpoint(self) -> bool:
        """Arm a random failpoint and wait until it fires; return False when no process reached it in time."""
        case = self.chance.choice(self.cases)
        name = arm(self.folder, replace(case.failpoint, skip=self.chance.randrange(3)))
        end = time.monotonic() + FIRING_SECONDS
        while time.monotonic() < end:
            if (self.folder / "fired" / name).exists():
                return True
            time.sleep(0.1)
        (self.folder / "armed" / name).unlink(missing_ok=True)
        return (self.folder / "fired" / name).exists()

    def cut_database_connections(self) -> bool:
        service = self.chance.choice([*SERVICES])
        return bool(fetch_rows(self.stack, service, CUT, service, service)[0][0])

    def kill_server(self, server: PostgresServer | RabbitServer | None, *, wipe: bool = False) -> bool:
        """Kill a server and start it again; with `wipe` it starts without its data."""
        assert server is not None
        with self.server_lock:
            server.kill()
            if wipe:
                server.wipe()
            server.start()
        return True

    def hang_database(self) -> bool:
        """Stop all processes of PostgreSQL: connections stay, hosts answer, and no statement ends."""
        assert self.stack.postgres is not None
        with self.server_lock:
            postmaster = self.stack.postgres.process.pid
            processes = [
                postmaster,
                *map(int, Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()),
            ]
            with stop_processes(processes):
                time.sleep(self.chance.uniform(*HANG_SECONDS))
        return True

    def hang_broker(self) -> bool:
        """Stop RabbitMQ's process for longer than two heartbeats."""
        assert self.stack.rabbitmq is not None
        with self.server_lock, frozen(self.stack.rabbitmq):
            time.sleep(self.chance.uniform(*HANG_SECONDS))
        return True

    def raise_alarm(self, seconds: float | None = None) -> bool:
        """Raise RabbitMQ's memory alarm for a while: it delivers, and takes nothing."""
        assert self.stack.rabbitmq is not None
        with self.server_lock, alarmed(self.stack.rabbitmq):
            time.sleep(seconds or self.chance.uniform(*HANG_SECONDS))
        return True

    def hang_queue(self) -> bool:
        """Suspend the leader of a participant's commands queue: it confirms and delivers nothing."""
        assert self.stack.rabbitmq is not None
        queue = commands_queue(self.chance.choice(PARTICIPANTS))
        with self.server_lock, leaderless(self.stack.rabbitmq, queue):
            time.sleep(self.chance.uniform(*HANG_SECONDS))
        return True

    def lose_broker_data(self) -> bool:
        """Start the broker without its data: every message is lost."""
        done = self.kill_server(self.stack.rabbitmq, wipe=True)
        declare_queue(self.stack)
        return done

    def take_service_away(self, seconds: float = AWAY_SECONDS) -> bool:
        """Stop all processes of a participant, and start them again after so many seconds."""
        service = self.chance.choice(PARTICIPANTS)
        names = [f"{service}-{role}" for role in ROLES]
        for name in names:
            self.stack.supervisor.kill(name)
        time.sleep(seconds)
        for name in names:
            self.bring_back(name)
        return True

    def bring_back(self, name: str) -> None:
        """Start a process, also if it is not ready in time because another fault has stopped what it needs."""
        for left in reversed(range(TRIES)):
            try:
                self.stack.supervisor.restart(name)
                return
            except LocalError:
                if not left:
                    raise

    def disturb_queue(self, how: str) -> bool:
        with self.server_lock:
            return disturb_queue(self.stack, how, self.chance) > 0
