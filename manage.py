#!/usr/bin/env python3
"""The one command line of the system: `./manage.py SERVICE COMMAND …` or `./manage.py up|demo|bench|…`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Ctrl-C while all the rest is imported.
    sys.excepthook = lambda kind, error, trace: (
        None if kind is KeyboardInterrupt else sys.__excepthook__(kind, error, trace)
    )

import difflib
import errno
import importlib
import importlib.util
import os
import signal
from pathlib import Path
from typing import Any

from celery_config.errors import DefinitionError

try:
    from celery_config.common.services import SERVICES
except DefinitionError as error:
    sys.exit(str(error))

UNWRITABLE = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT)
VENV = Path(__file__).resolve().parent / ".venv"
ASKING = ("audit", "explain", "import_orders", "place", "reconcile", "recover", "rehearse", "sync", "watch")
SYSTEM_COMMANDS = {
    "up": ("compose.local.up", "start the whole stack on PostgreSQL and RabbitMQ"),
    "status": ("compose.local.status", "addresses, login, health, and what waits for a human"),
    "top": ("compose.local.top", "rates, orders on their way, queues, relays, what stands, again and again"),
    "ops": (
        "compose.local.ops",
        "what operators do, over HTTP with a token, as JSON; shows it before it does it",
    ),
    "demo": ("compose.local.demo", "100 orders through the four services, without any server"),
    "sandbox": ("compose.local.sandbox", "break or mend the provider or the carrier of what runs"),
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
    "fuzz": ("tests.fuzz.run", "requests of every kind to each service: no answer that OpenAPI lacks"),
    "schedules": ("tests.schedules", "simulated schedules of the sagas, every guarantee checked"),
    "mutants": ("tests.mutants.run", "deliberately broken variants, each caught by a test or the audit"),
    "forgery": (
        "tests.forgery",
        "forged messages and calls with each service's own credentials, all refused",
    ),
    "pages": (
        "tests.bench.pages",
        "what each page of order's admin costs with a million orders and a bad day",
    ),
    "permissions": ("tests.permissions", "every call and admin page, tried by everybody, against the table"),
    "verify": ("tests.verify", "every long check one after the other; goes on where it was stopped"),
    "flower": ("compose.local.flower", "Flower, for the workers of all four services"),
    "asyncapi": ("docs.asyncapi", "the events of all services as an AsyncAPI document"),
    "flows": ("docs.flows", "what each service waits for in each flow of an order"),
    "architecture": ("docs.architecture", "the map of the code, from its imports"),
    "pictures": (
        "docs.pictures",
        "the pictures of README and docs, taken by Chromium from a system of its own",
    ),
    "record": (
        "tests.releases",
        "what this release sends, of contracts and sagas that have no record yet",
    ),
    "services": (
        "compose.generated.run",
        "what each service declares, and the files that follow from it; --write writes them",
    ),
    "startservice": ("compose.scaffold.start_service", "make a new service, with a command and its tests"),
    "startsaga": ("compose.scaffold.start_saga", "make a new flow of commands that are there, and its tests"),
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
    name = argv[1] if len(argv) > 1 else "help"
    if name in SERVICES:
        return run_service_command(argv)
    if name in SYSTEM_COMMANDS:
        return importlib.import_module(SYSTEM_COMMANDS[name][0]).main(argv[2:]) or 0
    if name in ("help", "--help", "-h"):
        print(usage())
        return 0
    guesses = difflib.get_close_matches(name, [*SERVICES, *SYSTEM_COMMANDS], n=1)
    meant = " ".join(["./manage.py", *correct(guesses[0], argv[2:])]) if guesses else ""
    guess = f" Did you mean `{meant}`?" if meant else ""
    print(
        f"There is no service and no command `{name}`.{guess} `./manage.py help` lists both.", file=sys.stderr
    )
    return 2


def correct(name: str, rest: list[str]) -> list[str]:
    """Return the words that were meant: a command that there is, or the service's list of them."""
    if name in SYSTEM_COMMANDS:
        return [name, *rest]
    if rest and rest[0] in SYSTEM_COMMANDS:
        return rest
    return [name, *rest] if rest and rest[0] in list_commands(name) else [name, "help"]


def list_commands(service: str) -> set[str]:
    """Return the commands of a service that are this project's own."""
    package = SERVICES[service].settings_module.partition(".")[0]
    found = (VENV.parent / folder for folder in (package, "celery_config"))
    return {path.stem for folder in found for path in folder.glob("**/management/commands/[!_]*.py")}


def find_elsewhere(service: str, rest: list[str]) -> str:
    """Return the command lines by which the system, or other services, know what this one does not; empty: none."""
    command = rest[0]
    if command in SYSTEM_COMMANDS:
        names = [""]
    else:
        names = [f"{other} " for other in SERVICES if other != service and command in list_commands(other)]
    return " or ".join(f"`./manage.py {name}{' '.join(rest)}`" for name in names)


def run_service_command(argv: list[str]) -> int:
    """Run a management command of a service, in the running stack if no database is named."""
    service = argv[1]
    os.environ["DJANGO_SETTINGS_MODULE"] = SERVICES[service].settings_module
    if not os.environ.get(f"{service.upper()}_DATABASE_URL"):
        from compose.local import running
        from compose.local.errors import LocalError

        var = Path(os.environ.get("ORDER_SAGA_VAR") or VENV.parent / "var")
        try:
            is_running = running.join_stack(var, service)
        except LocalError as error:
            print(error, file=sys.stderr)
            return 1
        if not is_running and needs_a_stack(argv):
            print(
                f"Nothing is running in {var}: start it with `make up` in another terminal.", file=sys.stderr
            )
            return 1
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import ManagementUtility
    from django.db import InterfaceError, OperationalError

    class Utility(ManagementUtility):
        def fetch_command(self, subcommand: str) -> Any:
            """An unknown command is a wrong word, and exits like one; a command of the system or of another service
            is named."""
            try:
                return super().fetch_command(subcommand)
            except SystemExit:
                if meant := find_elsewhere(service, argv[2:]):
                    print(f"Did you mean {meant}?", file=sys.stderr)
                sys.exit(2)

    try:
        Utility([f"{argv[0]} {service}", *argv[2:]]).execute()
    except (ImproperlyConfigured, DefinitionError, OperationalError, InterfaceError) as error:
        if "--traceback" in argv:
            raise
        what = {ImproperlyConfigured: "The settings are wrong", DefinitionError: "A definition is wrong"}.get(
            type(error), "The database failed"
        )
        print(f"{service}: {what}: {error}".strip(), file=sys.stderr)
        return 1
    return 0


def needs_a_stack(argv: list[str]) -> bool:
    """Whether the command calls services whose addresses are not set; other programs may listen on the usual ones."""
    asks = len(argv) > 2 and argv[2] in ASKING and not {"-h", "--help"} & {*argv}
    return asks and not os.environ.get(f"{argv[1].upper()}_URL")


def use_venv() -> None:
    """Continue under the project's own .venv when no other environment is active.

    Without it, and without the packages, say how it is made.
    """
    python = VENV / "bin" / "python"
    if sys.prefix == sys.base_prefix and python.exists():
        # Python shows a traceback of Ctrl-C while it starts: the signal waits until `run` hears it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        os.execv(python, [str(python), *sys.argv])
    if importlib.util.find_spec("django") is None:
        sys.exit(
            "The packages of Order Saga are not installed: run `make demo` once. It makes .venv, which this command"
            " then uses."
        )


def prepare_streams() -> None:
    """Let printing fail at no letter that the terminal lacks, and at no stream that is closed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif mode == "w" and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def end_at_ctrl_c() -> None:
    """From now on Ctrl-C ends the process at once, and without a traceback; in the background nothing changes."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def drop_output() -> None:
    """Forget what cannot be written, so that the interpreter does not try again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def run(argv: list[str]) -> int:
    """Run a command; what ends any of them is a sentence and an exit code."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        use_venv()
        prepare_streams()
        code = main(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        end_at_ctrl_c()
        print("\nStopped by Ctrl-C.", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        drop_output()
        print(f"The output cannot be written: {error}", file=sys.stderr)
        return 1
    finally:
        end_at_ctrl_c()
    return code


if __name__ == "__main__":
    sys.exit(run(sys.argv))
