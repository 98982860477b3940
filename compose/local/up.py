"""`./manage.py up`: the whole system on real servers until Ctrl-C; a process that ends by itself is started again."""

import argparse
import queue
import signal
import time
from threading import Thread

import httpx
from rich.console import Console

from celery_config.common.services import SERVICES
from compose.local import held, running
from compose.local.environment import var_folder
from compose.local.errors import LocalError
from compose.local.output import print_error
from compose.local.overview import make_overview
from compose.local.rollover import LogRollover
from compose.local.shopper import fill_empty_shelves
from compose.local.stack import Stack

_LONGEST_PAUSE = 30.0
_LOOK_SECONDS = 0.5
_REMEMBERED_SECONDS = 300.0


def main(argv: list[str]) -> int:
    """Start everything, print its addresses and keep it running.

    Returns:
        0 after Ctrl-C or SIGTERM, 1 when something did not start, 130 after a second Ctrl-C.
    """
    options, console = _options(argv), Console(highlight=False)
    try:
        if options.stop or options.start:
            return _hold(options, console)
        return _run(options, console)
    except KeyboardInterrupt:
        console.print("\nNot waiting: what still runs is stopped within 10 s.")
        return 130


def _run(options: argparse.Namespace, console: Console) -> int:
    # A shell ignores SIGINT for commands in the background; we react there too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    started = time.monotonic()
    stack: Stack | None = None
    try:
        stack = Stack("servers", with_flower=not options.no_flower)
        if options.fresh:
            stack.delete_data()
        with console.status("Starting PostgreSQL, RabbitMQ and four services …"):
            stack.start()
            fill_shelves(stack, console)
        flower = stack.flower_url if stack.has_flower else ""
        with running.announce(stack.var, stack.environment, flower=flower):
            notes = (
                *stack.addresses.moved,
                "`./manage.py status` shows all this at any time",
                "Ctrl-C stops everything",
            )
            title = f"Ready after {time.monotonic() - started:.1f} s"
            console.print(make_overview(stack.environment, title, flower=flower, notes=notes))
            if not options.quiet:
                stack.supervisor.show()
            _keep_running(stack, console)
    except KeyboardInterrupt:
        console.print("\nStopping …")
    except LocalError as error:
        print_error(error)
        return 1
    finally:
        if stack:
            stack.stop()
    console.print("Stopped. The data are kept; `./manage.py up --fresh` starts without them.")
    return 0


def fill_shelves(stack: Stack, console: Console) -> None:
    """Put something to order on empty shelves, where orders are for trying out."""
    if stack.environment.get("ENVIRONMENT") == "production":
        return
    try:
        fill_empty_shelves(stack.environment)
    except httpx.HTTPError as error:  # the system runs all the same
        console.print(f"No goods were put on the shelves: {error!r}", markup=False, style="yellow")


def _hold(options: argparse.Namespace, console: Console) -> int:
    """Ask the `up` that runs here to stop services or to start them again."""
    folder = var_folder()
    try:
        if running.read_announcement(folder) is None:
            print_error(f"No `up` is running in {folder}: start it with `make up`.")
            return 1
        services = held.ask(folder, options.stop, options.start)
    except LocalError as error:
        print_error(error)
        return 1
    console.print(f"Stopped until `up --start`: {', '.join(sorted(services)) or 'nothing'}")
    return 0


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./manage.py up",
        description="Start the whole system on PostgreSQL and RabbitMQ: on the servers that the environment names, "
        "else on private ones that keep their data in ORDER_SAGA_VAR/servers.",
    )
    parser.add_argument("--fresh", action="store_true", help="delete the private servers' data first")
    parser.add_argument("--quiet", action="store_true", help="do not print the logs (they are in var/log)")
    parser.add_argument("--no-flower", action="store_true", help="leave Flower out")
    for name, what in (
        ("stop", "keep the processes of a service stopped"),
        ("start", "start them again"),
    ):
        parser.add_argument(
            f"--{name}",
            action="append",
            default=[],
            choices=[*SERVICES],
            help=f"of the `up` that runs: {what}",
        )
    return parser.parse_args(argv)


def _keep_running(stack: Stack, console: Console) -> None:
    """Start every process again that ends by itself, and hold what an operator wants to be held."""
    restarter, rollover = Restarter(stack, console), LogRollover(stack.logs)
    while True:
        rollover.look()
        try:
            restarter.holder.follow()
        except LocalError as error:
            console.print(str(error), markup=False, style="red", soft_wrap=True)
        try:
            death = stack.supervisor.deaths.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            continue
        if not restarter.is_expected(death.name):
            console.print(str(death), markup=False, style="red", soft_wrap=True)
            restarter.start_again(death.name)


class Restarter:
    """Starts processes, each in a thread, so that none waits for another; the pauses before new tries grow."""

    def __init__(self, stack: Stack, console: Console) -> None:
        self.stack, self.console = stack, console
        self.tries: dict[str, list[float]] = {}
        self.pending = set[str]()
        """What is about to start, or is starting; a failure is told there, and also as a death."""
        self.holder = held.Holder(stack.var, stack.supervisor, self.start)

    def is_expected(self, name: str) -> bool:
        """Whether the end of this process changes nothing."""
        return name in self.pending or self.holder.holds(name)

    def start_again(self, name: str) -> None:
        now = time.monotonic()
        lately = [at for at in self.tries.get(name, []) if now - at < _REMEMBERED_SECONDS]
        self.tries[name] = [*lately, now]
        pause = min(2.0 ** len(lately), _LONGEST_PAUSE)
        self.console.print(f"{name} is started again in {pause:.0f} s")
        self.start(name, pause)

    def start(self, name: str, pause: float = 0.0) -> None:
        if name not in self.pending:
            self.pending.add(name)
            Thread(target=self._start_after, args=(name, pause), daemon=True).start()

    def _start_after(self, name: str, pause: float) -> None:
        time.sleep(pause)
        error: LocalError | None = None
        if not self.holder.holds(name):
            try:
                self.stack.restart(name)
                self.holder.note_start(name)
            except LocalError as failure:
                error = failure
        self.pending.discard(name)
        if error and not self.holder.holds(name):
            self.console.print(str(error), markup=False, style="red", soft_wrap=True)
            self.start_again(name)
