#!/usr/bin/env python3
"""The one command line of the system: `./manage.py SERVICE COMMAND …` or `./manage.py up|demo|bench|…`."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from celery_config.common.services import SERVICES

VENV = Path(__file__).resolve().parent / ".venv"
ASKING = ("audit", "import_orders", "reconcile", "recover", "sync")
SYSTEM_COMMANDS = {
    "up": ("compose.local.up", "start the whole stack on PostgreSQL and RabbitMQ"),
    "demo": ("compose.local.demo", "100 orders through the four services, without any server"),
    "bench": ("tests.bench.run", "orders per second, latency and CPU, against a bare Celery chain"),
    "test": ("tests.run", "every test, on real servers"),
    "crash-matrix": ("tests.chaos.matrix", "every crash point of every operation, on real servers"),
    "chaos": ("tests.chaos.run", "load while everything dies at random, on real servers"),
    "chaos-copies": (
        "tests.chaos.copies",
        "random changes of what is copied while everything dies, then equal",
    ),
    "bench-copies": ("tests.bench.copies", "a copy of a million rows rebuilt under changes, and checked"),
    "races": ("tests.chaos.races", "orders cancelled or too old at any moment, on real servers"),
    "oversell": ("tests.chaos.oversell", "many buyers of few units at once, on real servers"),
    "schedules": ("tests.schedules", "simulated schedules of the sagas, every guarantee checked"),
    "mutants": ("tests.mutants.run", "deliberately broken variants, each caught by a test or the audit"),
    "flower": ("compose.local.flower", "Flower, for the workers of all four services"),
    "asyncapi": ("docs.asyncapi", "the events of all services as an AsyncAPI document"),
    "flows": ("docs.flows", "what each service waits for in each flow of an order"),
    "architecture": ("docs.architecture", "the map of the code, from its imports"),
    "topology": ("celery_config.broker.topology", "print the broker's definitions as JSON"),
}


def usage() -> str:
    lines = [
        "usage: ./manage.py SERVICE COMMAND [options]",
        "       ./manage.py SYSTEM-COMMAND [options]",
        "",
    ]
    lines += [f"services:  {' '.join(SERVICES)}   (`./manage.py order help` lists a service's commands)", ""]
    lines += [f"  {name:<13} {text}" for name, (_, text) in SYSTEM_COMMANDS.items()]
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    if len(argv) > 1 and argv[1] in SERVICES:
        os.environ["DJANGO_SETTINGS_MODULE"] = SERVICES[argv[1]].settings_module
        if not os.environ.get(f"{argv[1].upper()}_DATABASE_URL"):
            from compose.local import running

            var = Path(os.environ.get("ORDER_SAGA_VAR") or VENV.parent / "var")
            if not running.join_stack(var) and needs_a_stack(argv):
                print(
                    f"Nothing is running in {var}: start it with `make up` in another terminal.",
                    file=sys.stderr,
                )
                return 1
        from django.core.management import execute_from_command_line

        execute_from_command_line([f"{argv[0]} {argv[1]}", *argv[2:]])
        return 0
    if len(argv) > 1 and argv[1] in SYSTEM_COMMANDS:
        return importlib.import_module(SYSTEM_COMMANDS[argv[1]][0]).main(argv[2:]) or 0
    print(usage(), file=sys.stderr if len(argv) > 1 else sys.stdout)
    return 2 if len(argv) > 1 and argv[1] not in ("help", "--help", "-h") else 0


def needs_a_stack(argv: list[str]) -> bool:
    """Whether the command calls services whose addresses are not set; other programs may listen on the usual ones."""
    asks = len(argv) > 2 and argv[2] in ASKING and not {"-h", "--help"} & {*argv}
    return asks and not os.environ.get(f"{argv[1].upper()}_URL")


def use_venv() -> None:
    """Continue under the project's own .venv when no other environment is active."""
    python = VENV / "bin" / "python"
    if sys.prefix == sys.base_prefix and python.exists():
        os.execv(python, [str(python), *sys.argv])


if __name__ == "__main__":
    use_venv()
    sys.exit(main(sys.argv))
