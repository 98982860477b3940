"""The system that crash matrix and chaos are tried on: a private one, in a hurry, with its failpoints on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console

from celery_config.failpoints import arming
from compose.local.environment import var_folder, without_servers
from compose.local.stack import Stack

# A watchdog's silence of 3.6 s, a deadline of 27 s.
TIME_SCALE = "0.03"
HEARTBEAT = 2
# RabbitMQ closes a connection that was silent for two heartbeats.
STANDS_SECONDS = 3 * HEARTBEAT + 1.0


@contextmanager
def running(
    name: str,
    console: Console,
    settings: Mapping[str, str] | None = None,
    settings_of: Mapping[str, dict[str, str]] | None = None,
) -> Iterator[Stack]:
    """Start it without the data of the last run, and stop it in the end.

    Args:
        name: of its folder.
        settings: environment variables of all processes.
        settings_of: of one service's, by service.
    """
    var = var_folder() / name
    stack = Stack(
        "servers",
        var=var,
        settings={
            "SAGA_TIME_SCALE": TIME_SCALE,
            "BROKER_HEARTBEAT": str(HEARTBEAT),
            "LOG_FORMAT": "json",
            arming.VARIABLE: str(failpoints_of(var)),
            **(settings or {}),
        },
        # Servers that the environment names are not ours to kill.
        environ=without_servers(os.environ),
    )
    stack.settings_of.update(settings_of or {})
    stack.delete_data()
    console.print(f"Logs: {stack.logs}", soft_wrap=True)
    try:
        with console.status("Starting PostgreSQL, RabbitMQ and the four services …"):
            stack.start()
        yield stack
    finally:
        stack.stop()


def failpoints_of(var: Path) -> Path:
    """The folder of the failpoints of a stack, by its own folder."""
    return var / "failpoints"


def choose_version(stack: Stack, version: int) -> None:
    """Let new orders take this version of `place-order` from the next start of `order-web` on."""
    web = stack.supervisor["order-web"]
    web.env = {**(web.env or {}), "PLACE_ORDER_VERSION": str(version)}


@contextmanager
def standing_still(stack: Stack, name: str) -> Iterator[bool]:
    """Stop a process with all its children for the block; False, if there is none at this moment."""
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
