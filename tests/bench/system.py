"""The real stack with the tables and tasks of the three steps, and its parts as they are measured."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import psycopg
from rich.progress import Progress

from celery_config.common.services import SERVICES
from compose.local.environment import ROOT, var_folder, without_servers
from compose.local.process import Process
from compose.local.stack import Stack
from tests.bench.measure import Run, run_client

WARM_UP_SHARE = 0.3


def made(settings: Mapping[str, str] | None = None) -> Stack:
    """The stack, not started.

    Args:
        settings: environment variables of its processes, besides the usual ones.
    """
    stack = Stack(
        "servers",
        var=var_folder() / "bench",
        settings={"LOG_FORMAT": "json", **(settings or {})},
        with_webhooks=False,  # the bare chain could do nothing with them
        environ=without_servers(os.environ),
    )
    for service in SERVICES:
        stack.settings_of[service] = {"TASK_MODULES": f"tests.bench.three.{service}"}
    return stack


def start(stack: Stack) -> None:
    """Start it without the data of earlier runs."""
    stack.delete_data()
    stack.start()
    for service in SERVICES:
        stack.supervisor.run(
            Process(
                name=f"{service}-tables",
                argv=[sys.executable, "-m", "tests.bench.three.prepare", service],
                env=stack.environment,
                cwd=ROOT,
            )
        )


def working(stack: Stack) -> dict[str, int]:
    """The process ids of our workers, relays and sandbox."""
    parts = tuple(f"{service}-{part}" for service in SERVICES for part in ("worker", "relay"))
    running = {name: stack.supervisor[name] for name in stack.supervisor.names}
    return {
        name: process.pid
        for name, process in running.items()
        if name.startswith((*parts, "sandbox")) and process.is_running
    }


def webs(stack: Stack) -> dict[str, int]:
    return {name: stack.supervisor[name].pid for name in (f"{service}-web" for service in SERVICES)}


def servers(stack: Stack) -> dict[str, int]:
    """The process ids of PostgreSQL and RabbitMQ."""
    assert stack.postgres is not None
    assert stack.rabbitmq is not None
    return {"PostgreSQL": stack.postgres.process.pid, "RabbitMQ": stack.rabbitmq.process.pid}


def run_ours(
    stack: Stack, progress: Progress, title: str, orders: int, *, side: str = "three-steps", rate: float = 0.0
) -> Run:
    """Place orders on our side and measure until all have ended.

    Args:
        rate: orders a second; 0: as fast as it goes.

    Raises:
        LocalError: not all of them ended well.
    """
    bar = progress.add_task(title, total=orders)
    before = written(stack)
    run = run_client(
        side,
        orders=orders,
        rate=rate,
        environment=stack.environment,
        parts=working(stack) | servers(stack),
        progress=lambda ended: progress.update(bar, completed=ended),
    )
    return replace(run, wal=(written(stack) - before) / 1000 / orders)


def written(stack: Stack) -> float:
    """Bytes that PostgreSQL has written into its write-ahead log since it was made."""
    assert stack.postgres is not None
    with psycopg.connect(stack.postgres.superuser_url()) as connection:
        found = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')").fetchone()
    return float(found[0]) if found else 0.0


def warm_up(stack: Stack, progress: Progress, orders: int) -> None:
    """Let connections, plans and caches be made before so many orders are measured."""
    run_ours(stack, progress, "warm-up", int(orders * WARM_UP_SHARE))


@contextmanager
def relays_stand(stack: Stack) -> Iterator[None]:
    """Our relays look for work all the time; let them stand still."""
    relays = [f"{service}-relay" for service in SERVICES]
    for name in relays:
        stack.supervisor.kill(name, signal.SIGSTOP)
    try:
        yield
    finally:
        for name in relays:
            stack.supervisor.kill(name, signal.SIGCONT)
