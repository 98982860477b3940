"""The real stack with the tables and tasks of the three steps, and its parts as they are measured."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from celery_config.topology import SERVICES
from compose.local.environment import ROOT, var_folder, without_servers
from compose.local.process import Process
from compose.local.stack import Stack


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
    names = [*(f"{service}-{part}" for service in SERVICES for part in ("worker", "relay")), "sandbox"]
    return {name: stack.supervisor[name].pid for name in names}


def webs(stack: Stack) -> dict[str, int]:
    return {name: stack.supervisor[name].pid for name in (f"{service}-web" for service in SERVICES)}


def servers(stack: Stack) -> dict[str, int]:
    """The process ids of PostgreSQL and RabbitMQ."""
    assert stack.postgres is not None
    assert stack.rabbitmq is not None
    return {"PostgreSQL": stack.postgres.process.pid, "RabbitMQ": stack.rabbitmq.process.pid}
