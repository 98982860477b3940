"""The system that the crash matrix and chaos test: a private stack with short times and failpoints."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console

from compose.local.environment import var_folder, without_servers
from compose.local.errors import LocalError
from compose.local.output import print_error
from compose.local.stack import Stack

# With this the watchdog calls a saga silent after 3.6 s, and its deadline is 27 s.
TIME_SCALE = "0.03"
HEARTBEAT = 2
STATEMENT_SECONDS = 3
# RabbitMQ closes a connection that was silent for two heartbeats.
STOP_SECONDS = 3 * HEARTBEAT + 1.0
Settings = Mapping[str, str]


@contextmanager
def start_system(
    name: str,
    console: Console,
    settings: Settings | None = None,
    choose_service_settings: Callable[[Stack], Mapping[str, dict[str, str]]] = lambda _: {},
) -> Iterator[Stack]:
    """Start a stack without the data of the last run, and stop it at the end of the block.

    Args:
        name: of its folder.
        settings: environment variables of all processes.
        choose_service_settings: gives further environment variables, by service, for the stack that is not started yet.

    Raises:
        SystemExit: the system failed (LocalError); what failed has been printed.
    """
    var = var_folder() / name
    try:
        stack = Stack(
            "servers",
            var=var,
            settings={
                "SAGA_TIME_SCALE": TIME_SCALE,
                "BROKER_HEARTBEAT": str(HEARTBEAT),
                "STATEMENT_SECONDS": str(STATEMENT_SECONDS),
                "LOG_FORMAT": "json",
                "FAILPOINTS": str(find_failpoints(var)),
                **(settings or {}),
            },
            # Servers that the environment names belong to others: they must not be killed.
            environ=without_servers(os.environ),
        )
        try:
            stack.settings_of.update(choose_service_settings(stack))
            stack.delete_data()
            console.print(f"Logs: {stack.logs}", soft_wrap=True)
            with console.status("Starting PostgreSQL, RabbitMQ and the four services …"):
                stack.start()
            yield stack
        finally:
            stack.stop()
    except LocalError as error:
        print_error(error)
        raise SystemExit(1) from error


def find_failpoints(var: Path) -> Path:
    """Return the folder of a stack's failpoints."""
    return var / "failpoints"


def choose_version(stack: Stack, version: int) -> None:
    """Let new orders use this version of `place-order` from the next start of `order-web` on."""
    web = stack.supervisor["order-web"]
    web.env = {**(web.env or {}), "PLACE_ORDER_VERSION": str(version)}


@contextmanager
def stop_process(stack: Stack, name: str) -> Iterator[bool]:
    """Stop a process with all its children (SIGSTOP) for the block; yield False if there is none."""
    group = stack.supervisor[name].pid
    try:
        os.killpg(group, signal.SIGSTOP)
    except ProcessLookupError:
        yield False
        return
    try:
        yield True
    finally:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGCONT)


@contextmanager
def stop_processes(pids: Iterable[int]) -> Iterator[None]:
    """Stop processes (SIGSTOP) for the block; those that have ended meanwhile are passed over."""
    stopped = []
    try:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
        yield
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def fetch_rows(stack: Stack, service: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return rows of a service's database."""
    with connect(stack, service) as connection:
        return connection.execute(query, values or None).fetchall()


def execute(stack: Stack, service: str, statements: str) -> None:
    """Execute statements in a service's database, and commit."""
    with connect(stack, service) as connection:
        connection.execute(statements)


def connect(stack: Stack, service: str) -> psycopg.Connection:
    """Return a connection to a service's database as its superuser."""
    assert stack.postgres is not None
    return psycopg.connect(stack.postgres.superuser_url(service), connect_timeout=5)
