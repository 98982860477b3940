"""The kinds of faults that chaos is made of; each is over, and what it hit is on its way back, when it returns."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from celery_config.common.services import PARTICIPANTS, SERVICES
from celery_config.failpoints import arming
from compose.local.stack import Stack
from tests.chaos.cases import every_case
from tests.chaos.meddler import meddle
from tests.chaos.quiet import ask
from tests.chaos.victim import STANDS_SECONDS, choose_version, standing_still

ROLES = ("worker", "relay", "web")
# Of the flow. The first sends its commands over REST; its orders are under way when the second one comes.
FIRST_VERSION, SECOND_VERSION = 3, 1
AWAY_SECONDS = 60.0
FIRES_SECONDS = 15.0
CUT = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s AND usename = %s"


class Faults:
    """What can go wrong with one stack.

    Args:
        folder: of the failpoints.
        chance: decides what and where.
    """

    def __init__(self, stack: Stack, folder: Path, chance: random.Random) -> None:
        self.stack = stack
        self.folder = folder
        self.chance = chance
        self.server = threading.Lock()  # PostgreSQL and RabbitMQ do not die at the same time
        self.cases = every_case()
        self.kinds: dict[str, tuple[Callable[[], bool], int]] = {
            "worker killed": (lambda: self.kill("worker"), 6),
            "relay killed": (lambda: self.kill("relay"), 4),
            "web killed": (lambda: self.kill("web"), 6),
            "a process stands still": (self.stand_still, 5),
            "killed at a failpoint": (self.failpoint, 10),
            "database connections cut": (self.cut_database, 5),
            "PostgreSQL stopped at once": (self.kill_postgres, 2),
            "RabbitMQ killed": (self.kill_rabbitmq, 2),
            "messages duplicated": (lambda: self.meddle("duplicated"), 5),
            "messages delayed": (lambda: self.meddle("delayed"), 4),
            "messages reordered": (lambda: self.meddle("reordered"), 4),
        }

    def any_kind(self) -> str:
        return self.chance.choices(list(self.kinds), [weight for _, weight in self.kinds.values()])[0]

    def do(self, kind: str) -> bool:
        """Do it; False when there was nothing to hit."""
        return self.kinds[kind][0]()

    def kill(self, role: str) -> bool:
        name = f"{self.chance.choice([*SERVICES])}-{role}"
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.stack.supervisor[name].pid, signal.SIGKILL)
            return True
        return False

    def deploy(self) -> bool:
        """New orders take the second version; those of the first one are under way. The keeper starts it."""
        choose_version(self.stack, SECOND_VERSION)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.stack.supervisor["order-web"].pid, signal.SIGTERM)
            return True
        return False

    def stand_still(self) -> bool:
        name = f"{self.chance.choice([*SERVICES])}-{self.chance.choice(ROLES)}"
        with standing_still(self.stack, name) as stands:
            if stands:
                time.sleep(STANDS_SECONDS)
        return stands

    def failpoint(self) -> bool:
        case = self.chance.choice(self.cases)
        name = arming.arm(self.folder, replace(case.failpoint, skip=self.chance.randrange(3)))
        end = time.monotonic() + FIRES_SECONDS
        while time.monotonic() < end:
            if (self.folder / "fired" / name).exists():
                return True
            time.sleep(0.1)
        (self.folder / "armed" / name).unlink(missing_ok=True)
        return (self.folder / "fired" / name).exists()

    def cut_database(self) -> bool:
        service = self.chance.choice([*SERVICES])
        return bool(ask(self.stack, service, CUT, service, service)[0][0])

    def kill_postgres(self) -> bool:
        server = self.stack.postgres
        assert server is not None
        with self.server:
            server.kill()
            server.start()
        return True

    def kill_rabbitmq(self) -> bool:
        server = self.stack.rabbitmq
        assert server is not None
        with self.server:
            server.kill()
            server.start()
        return True

    def lose_the_brokers_disk(self) -> bool:
        """It comes back empty: every message is gone."""
        server = self.stack.rabbitmq
        assert server is not None
        with self.server:
            server.kill()
            server.wipe()
            server.start()
        return True

    def away(self, seconds: float = AWAY_SECONDS) -> bool:
        """A whole service is gone for a while."""
        service = self.chance.choice(PARTICIPANTS)
        names = [f"{service}-{role}" for role in ROLES]
        for name in names:
            self.stack.supervisor.kill(name)
        time.sleep(seconds)
        for name in names:
            self.stack.supervisor.restart(name)
        return True

    def meddle(self, how: str) -> bool:
        with self.server:
            return meddle(self.stack, how, self.chance) > 0
