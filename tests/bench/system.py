"""The real stack with the tables and tasks of the three steps, and the parts of it that are measured."""

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


def make_stack(settings: Mapping[str, str] | None = None, *, with_webhooks: bool = False) -> Stack:
    """Return the stack, not started.

    Args:
        settings: environment variables of its processes besides the usual ones.
        with_webhooks: the sandbox sends webhooks; the bare chain does not take them.
    """
    stack = Stack(
        "servers",
        var=var_folder() / "bench",
        settings={"LOG_FORMAT": "json", **(settings or {})},
        with_webhooks=with_webhooks,
        environ=without_servers(os.environ),
    )
    for service in SERVICES:
        stack.settings_of[service] = {"TASK_MODULES": f"tests.bench.three.{service}"}
    return stack


def start_stack(stack: Stack) -> None:
    """Start the stack without the data of earlier runs."""
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


def find_workers(stack: Stack) -> dict[str, int]:
    """Return the process ids of the order saga's workers, relays, their parents, the notifier and the sandbox."""
    parts = tuple(f"{service}-{part}" for service in SERVICES for part in ("worker", "relay", "parent"))
    running = {name: stack.supervisor[name] for name in stack.supervisor.names}
    return {
        name: process.pid
        for name, process in running.items()
        if name.startswith((*parts, "order-notifier", "sandbox")) and process.is_running
    }


def find_webs(stack: Stack) -> dict[str, int]:
    """Return the process ids of the web servers."""
    return {name: stack.supervisor[name].pid for name in (f"{service}-web" for service in SERVICES)}


def find_servers(stack: Stack) -> dict[str, int]:
    """Return the process ids of PostgreSQL and RabbitMQ."""
    assert stack.postgres is not None
    assert stack.rabbitmq is not None
    return {"PostgreSQL": stack.postgres.process.pid, "RabbitMQ": stack.rabbitmq.process.pid}


def find_all_parts(stack: Stack) -> dict[str, int]:
    """Return the process ids of all parts of the stack."""
    return find_workers(stack) | find_webs(stack) | find_servers(stack)


def run_ours(
    stack: Stack,
    progress: Progress,
    title: str,
    orders: int,
    *,
    side: str = "three-steps",
    rate: float = 0.0,
    parts: Mapping[str, int] | None = None,
) -> Run:
    """Place orders by the order saga and measure until all have ended.

    Args:
        rate: orders a second; 0 is full speed.
        parts: the parts whose processor time counts; by default all but the web servers.

    Raises:
        LocalError: not all orders ended well.
    """
    bar = progress.add_task(title, total=orders)
    before = read_wal_bytes(stack)
    run = run_client(
        side,
        orders=orders,
        rate=rate,
        environment=stack.environment,
        parts=parts or find_workers(stack) | find_servers(stack),
        progress=lambda ended: progress.update(bar, completed=ended),
    )
    return replace(run, wal=(read_wal_bytes(stack) - before) / 1000 / orders)


def read_wal_bytes(stack: Stack) -> float:
    """Return how many bytes PostgreSQL has written into its write-ahead log since it was made."""
    assert stack.postgres is not None
    with psycopg.connect(stack.postgres.superuser_url()) as connection:
        found = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')").fetchone()
    return float(found[0]) if found else 0.0


def warm_up(stack: Stack, progress: Progress, orders: int, *, side: str = "three-steps") -> None:
    """Place a share of so many orders first: connections, plans and caches are then made."""
    run_ours(stack, progress, "warm-up", int(orders * WARM_UP_SHARE), side=side)


@contextmanager
def pause_relays(stack: Stack) -> Iterator[None]:
    """Stop the order saga's relays for the block: they look for work all the time."""
    relays = [f"{service}-relay" for service in SERVICES]
    for name in relays:
        stack.supervisor.kill(name, signal.SIGSTOP)
    try:
        yield
    finally:
        for name in relays:
            stack.supervisor.kill(name, signal.SIGCONT)
