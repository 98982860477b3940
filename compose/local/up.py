"""`./manage.py up`: the whole system on real servers until Ctrl-C; a process that ends by itself is started again."""

import argparse
import queue
import signal
import time
from threading import Thread

from rich.console import Console

from celery_config.common.services import SERVICES
from compose.local import held, running
from compose.local.environment import var_folder
from compose.local.errors import LocalError
from compose.local.output import print_error
from compose.local.overview import make_overview
from compose.local.process import Death
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
        ("stop", "keep web, worker and relay of a service stopped"),
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
    """Start every process again that ends by itself, each in a thread, so that none waits for the pause of another."""
    ends: dict[str, list[float]] = {}
    holder = held.Holder(stack.var, stack)
    while True:
        try:
            holder.follow()
        except LocalError as error:
            console.print(str(error), markup=False, style="red", soft_wrap=True)
        try:
            death = stack.supervisor.deaths.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            continue
        console.print(str(death), markup=False, style="red", soft_wrap=True)
        now = time.monotonic()
        lately = [at for at in ends.get(death.name, []) if now - at < _REMEMBERED_SECONDS]
        ends[death.name] = [*lately, now]
        pause = min(2.0 ** len(lately), _LONGEST_PAUSE)
        console.print(f"{death.name} is started again in {pause:.0f} s")
        Thread(target=_restart_after, args=(pause, stack, death, console, holder), daemon=True).start()


def _restart_after(pause: float, stack: Stack, death: Death, console: Console, holder: held.Holder) -> None:
    time.sleep(pause)
    if holder.holds(death.name):
        return
    try:
        stack.restart(death.name)
    except LocalError as error:
        console.print(str(error), markup=False, style="red", soft_wrap=True)
        stack.supervisor.deaths.put(death)
