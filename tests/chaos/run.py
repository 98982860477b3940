"""`./manage.py chaos`: load over HTTP while everything dies at random; then quiet, and an audit."""

from __future__ import annotations

import argparse
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psycopg
from rich.console import Console
from rich.table import Table

from celery_config.common.console import progress_bars
from celery_config.failpoints import arming
from compose.local.errors import LocalError
from compose.local.stack import Stack
from tests.chaos.client import Client
from tests.chaos.faults import FIRST_VERSION, Faults
from tests.chaos.keeper import Keeper
from tests.chaos.load import Load
from tests.chaos.quiet import NotQuiet, ask, audit, in_flight, wait_until_quiet
from tests.chaos.victim import STANDS_SECONDS, failpoints_of, running
from tests.chaos.worse import WORSE, clocks_for, settings_for

FAULTS_AT_ONCE = 3
PAUSE_SECONDS = (0.3, 2.5)
QUIET_SECONDS = 120.0
COMPENSATED_SHARE = 0.2
CARRIED_SHARE = 0.1
KINDS_WANTED = 8
SECONDS_PER_FAULT = 6.0
ENDS = """
    SELECT status, count(*) FROM (
        SELECT status FROM saga_sagainstance UNION ALL SELECT status FROM order_choreography
    ) AS flows GROUP BY status
"""
CARRIED = """
    SELECT CASE version WHEN 3 THEN 'over REST' ELSE 'over the broker' END, count(*) FROM saga_sagainstance GROUP BY 1
    UNION ALL SELECT 'by events', count(*) FROM order_choreography
"""


@dataclass
class Report:
    """What happened."""

    landed: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    ends: Mapping[str, int] = field(default_factory=dict)
    carried: Mapping[str, int] = field(default_factory=dict)
    quiet_after: float = 0.0


def main(argv: list[str]) -> int:
    options = parse(argv)
    console = Console(highlight=False)
    console.print(f"seed {options.seed}")
    try:
        settings = {"PLACE_ORDER_VERSION": str(FIRST_VERSION), **settings_for(options.worse)}
        with running("chaos", console, settings, clocks_for(options.worse)) as stack:
            report = run(stack, options, console)
    except LocalError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    return tell(report, options, console)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py chaos", description=__doc__)
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--duration", type=float, default=600.0, help="seconds over which they are placed")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--worse", choices=list(WORSE), help="and all the time: " + "; ".join(WORSE.values()))
    return parser.parse_args(argv)


def run(stack: Stack, options: argparse.Namespace, console: Console) -> Report:
    report, chance, folder = Report(), random.Random(options.seed), failpoints_of(stack.var)
    arming.disarm(folder)
    client = Client(stack, random.Random(chance.random()))
    client.stock_shelves()
    load = Load(client, options.orders, options.duration, options.seed)
    faults = Faults(stack, folder, chance)
    over = threading.Event()
    with (
        Keeper(stack, folder / "fired", STANDS_SECONDS) as keeper,
        progress_bars(console) as progress,
    ):
        bar = progress.add_task("chaos", total=options.orders)
        trouble = threading.Thread(target=make_trouble, args=(faults, report, over, options))
        trouble.start()
        watch = threading.Thread(
            target=lambda: follow(load, over, lambda n: progress.update(bar, completed=n))
        )
        watch.start()
        try:
            load.run()
            progress.update(bar, completed=len(load.placed))
        finally:
            over.set()
            trouble.join()
            watch.join()
            arming.disarm(folder)
        report.violations += settle(stack, report)
        report.violations += keeper.troubles
    report.ends, report.carried = dict(ask(stack, "order", ENDS)), dict(ask(stack, "order", CARRIED))
    client.close()
    return report


def follow(load: Load, over: threading.Event, show: Callable[[int], None]) -> None:
    while not over.wait(0.5):
        show(len(load.placed))


def make_trouble(faults: Faults, report: Report, over: threading.Event, options: argparse.Namespace) -> None:
    """Faults at random, a few at once, until the load is through.

    One service is away for a minute, and in the middle another version of the flow is deployed.
    """
    once: dict[str, Callable[[], bool]] = {
        "a service away for a minute": faults.away,
        "another version of the flow deployed": faults.deploy,
    }
    if options.worse == "broker":
        once["the broker's disk lost"] = faults.lose_the_brokers_disk
    with ThreadPoolExecutor(FAULTS_AT_ONCE + len(once)) as pool:
        running = [
            pool.submit(later, over, options.duration * (0.2 + 0.3 * n), cause, faults, kind, report)
            for n, (kind, cause) in enumerate(once.items())
        ]
        while not over.wait(faults.chance.uniform(*PAUSE_SECONDS)):
            running = [each for each in running if not each.done()]
            if len(running) < FAULTS_AT_ONCE + len(once):
                kind = faults.any_kind()
                running.append(pool.submit(hit, faults, kind, faults.kinds[kind][0], report))


def later(
    over: threading.Event,
    seconds: float,
    cause: Callable[[], bool],
    faults: Faults,
    kind: str,
    report: Report,
) -> None:
    if not over.wait(seconds):
        hit(faults, kind, cause, report)


def hit(faults: Faults, kind: str, cause: Callable[[], bool], report: Report) -> None:
    """Do it, and count it if it hit something while orders were in flight."""
    try:
        busy = in_flight(faults.stack) > 0
        landed = cause() and busy
    except psycopg.OperationalError:
        landed = False  # another fault holds the database at this moment
    except Exception as error:  # amqp's, while the broker is away: nothing to hit
        report.missed[f"{kind}: {type(error).__name__}"] += 1
        return
    (report.landed if landed else report.missed)[kind] += 1


def settle(stack: Stack, report: Report) -> list[str]:
    try:
        report.quiet_after = wait_until_quiet(stack, QUIET_SECONDS)
    except NotQuiet as error:
        return [str(error), *audit(stack)]
    return audit(stack)


def tell(report: Report, options: argparse.Namespace, console: Console) -> int:
    table = Table("fault", "landed mid-flight", "missed")
    for kind in sorted(set(report.landed) | set(report.missed)):
        table.add_row(kind, str(report.landed[kind]), str(report.missed[kind]))
    console.print(table)
    for counts in (report.ends, report.carried):
        console.print(", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
    orders, landed = sum(report.ends.values()), report.landed.total()
    weak = weaknesses(report, orders, landed, options)
    for line in (*report.violations, *weak):
        console.print(line, style="red", markup=False)
    print(
        f"chaos: {orders} orders, {landed} faults landed mid-flight, {len(report.violations)} violations,"
        f" quiet after {report.quiet_after:.0f} s",
        flush=True,
    )
    return 1 if report.violations or weak else 0


def weaknesses(report: Report, orders: int, landed: int, options: argparse.Namespace) -> list[str]:
    """Why this run proves too little."""
    found = []
    wanted = int(options.duration / SECONDS_PER_FAULT)
    if landed < wanted:
        found.append(f"only {landed} faults landed while orders were in flight; at least {wanted} should")
    if len(report.landed) < min(KINDS_WANTED, wanted):
        found.append(f"only {len(report.landed)} kinds of faults; at least {KINDS_WANTED} should land")
    if report.ends.get("compensated", 0) < COMPENSATED_SHARE * orders:
        found.append(f"only {report.ends.get('compensated', 0)} of {orders} orders were compensated")
    for how in ("over the broker", "over REST", "by events"):
        if report.carried.get(how, 0) < CARRIED_SHARE * orders:
            found.append(f"only {report.carried.get(how, 0)} of {orders} orders were carried out {how}")
    if orders < options.orders:
        found.append(f"only {orders} of {options.orders} orders were accepted")
    return found
