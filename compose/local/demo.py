"""`./manage.py demo`: 100 orders through the four services as separate processes, without any server."""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from celery_config.common.arguments import parse_count
from celery_config.common.console import progress_bars
from celery_config.sandbox.fates import FATES, FINE
from celery_config.sandbox.goods import ADDRESS, CURRENCY, GOODS
from compose.local import running
from compose.local.environment import ROOT, var_folder
from compose.local.errors import LocalError
from compose.local.output import print_error
from compose.local.overview import make_overview
from compose.local.secrets import select_environment
from compose.local.shopper import Ended, Shopper, percentile
from compose.local.stack import Stack

# The protocol's times are divided by twenty, so that a provider's time-out takes seconds.
TIME_SCALE = "0.05"
PATIENCE = 120.0
FLOWS = ("orchestrated", "choreographed")
LIMITS = (
    "This mode needs no server, and it guarantees less: when a process is killed, only the watchdog repeats the message"
    " that it worked on; there are no dead letters, there is no Flower, and each service has one worker. `make up` runs"
    " the same code on PostgreSQL and RabbitMQ."
)


def main(argv: list[str]) -> int:
    options = parse(argv)
    console = Console(highlight=False)
    settings = {"SAGA_TIME_SCALE": os.environ.get("SAGA_TIME_SCALE", TIME_SCALE)}
    stack: Stack | None = None
    try:
        stack = Stack("embedded", var=var_folder() / running.DEMO, settings=settings)
        stack.delete_data()
        with console.status("Starting four services, a worker and a relay each …"):
            stack.start()
        return place_orders(stack, console, options)
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    except (LocalError, TimeoutError) as error:
        print_error(error)
        return 1
    finally:
        if stack:
            stack.stop()


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py demo", description=__doc__)
    parser.add_argument("--orders", type=parse_count, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--flow", choices=FLOWS, default=FLOWS[0], help="who carries the orders out")
    parser.add_argument(
        "--keep", action="store_true", default=os.environ.get("KEEP") == "1", help="leave it running"
    )
    return parser.parse_args(argv)


def place_orders(stack: Stack, console: Console, options: argparse.Namespace) -> int:
    shopper = Shopper(stack)
    shopper.offer_goods()
    with progress_bars(console) as progress:
        placing = progress.add_task("placing", total=options.orders)
        orders = []
        for order in draw_orders(options.orders, random.Random(options.seed)):
            orders.append(shopper.place_when_known({**order, "flow": options.flow}))
            progress.update(placing, completed=len(orders))
        ending = progress.add_task("finishing", total=len(orders))
        ends = shopper.wait_for_ends(
            orders, patience=PATIENCE, progress=lambda n: progress.update(ending, completed=n)
        )
    console.print(tabulate_outcomes(ends))
    violations = audit(stack)
    console.print(LIMITS, style="dim")
    if options.keep:
        notes = (*stack.addresses.moved, "Ctrl-C stops it")
        console.print(make_overview(stack.environment, "It keeps running", notes=notes))
    else:
        console.print("`KEEP=1 make demo` leaves it running, to look at the admin pages and the API.")
        console.print(f"Logs: {stack.logs}", soft_wrap=True)
    status = Counter(end.status for end in ends)
    last = (
        f"demo: {len(ends)} orders, {status['confirmed']} completed, {status['cancelled']} compensated,"
        f" {status['parked']} parked, {violations} violations"
    )
    print(last, flush=True)
    if options.keep:
        with running.announce(stack.var, stack.environment):
            while True:
                signal.pause()
    return 0 if not violations and not status["parked"] else 1


def draw_orders(count: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yield the orders of a client, each made for its fate, in random order."""
    share = [fate for fate in FATES.values() if fate.share for _ in range(max(1, fate.share * count // 100))]
    fates = (share + [FINE] * count)[:count] if count >= len(share) else share[:count]
    rng.shuffle(fates)
    for fate in fates:
        lines = [
            {"sku": good.sku, "quantity": rng.randint(1, 3)} for good in rng.sample(GOODS, rng.randint(1, 4))
        ]
        yield fate.give_to({"lines": lines, "currency": CURRENCY, "address": ADDRESS})


def tabulate_outcomes(ends: Sequence[Ended]) -> Table:
    """Return the outcomes by reason, with the times from acceptance to end."""
    groups: dict[tuple[str, str], list[float]] = {}
    for end in ends:
        groups.setdefault((end.status, end.code), []).append(end.seconds)
    table = Table("outcome", "reason", "orders", "p50", "p99", title="What became of the orders")
    names = {"confirmed": "completed", "cancelled": "compensated"}
    for (status, code), seconds in sorted(groups.items(), key=lambda group: -len(group[1])):
        times = [f"{percentile(seconds, share):.2f} s" for share in (0.5, 0.99)]
        style = "green" if status == "confirmed" else "yellow"
        table.add_row(names.get(status, status), code or "—", str(len(seconds)), *times, style=style)
    return table


def audit(stack: Stack) -> int:
    """Run the audit command on the stack, print its output and return the number of violations and unchecked parts.

    Raises:
        LocalError: it did not finish.
    """
    command = [sys.executable, "manage.py", "order", "audit"]
    environment = select_environment(stack.environment, "order", operates=True)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout)
    last = done.stdout.strip().splitlines()[-1:] or [""]
    if not last[0].startswith("audit: "):
        raise LocalError(f"the audit did not finish:\n{done.stderr}")
    return sum(int(count) for count in re.findall(r"(\d+) (?:violations|parts)", last[0]))
