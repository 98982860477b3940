"""`./manage.py chaos-copies`: random changes while relays, workers and broker die; then every copy is equal."""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import psycopg
from rich.console import Console
from rich.table import Table

from compose.local.environment import ROOT
from compose.local.errors import LocalError
from compose.local.stack import Stack
from tests.chaos.faults import Faults
from tests.chaos.keeper import Keeper
from tests.chaos.quiet import UNPUBLISHED, ask
from tests.chaos.victim import STANDS_SECONDS, failpoints_of, running

SOURCES = ("order", "inventory")
KEEPERS = ("order", "payment", "shipment")
# Service and table of each source, and of its copies.
COPIES = (
    (
        "order",
        "order_customer",
        (("payment", "payment_billingcustomer"), ("shipment", "shipment_deliveryaddress")),
    ),
    ("inventory", "inventory_product", (("order", "order_catalogueproduct"),)),
)
PAUSE_SECONDS = (1.0, 4.0)
KINDS = {"relay killed": 5, "worker killed": 5, "RabbitMQ killed": 1}
PATIENCE_SECONDS = 900
LAST_LINE = re.compile(r"sync: (\d+) rows compared, (\d+) differ")


@dataclass
class Report:
    """What happened; times in seconds."""

    landed: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    changed: list[str] = field(default_factory=list)
    changing: float = 0.0
    arriving: float = 0.0
    compared: dict[str, tuple[int, int]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)


def main(argv: list[str]) -> int:
    options = parse(argv)
    console = Console(highlight=False)
    console.print(f"seed {options.seed}")
    try:
        with running("chaos-copies", console) as stack:
            report = run(stack, options, console)
    except LocalError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    return tell(report, options, console)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py chaos-copies", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="customers, and as many products")
    parser.add_argument("--changes", type=int, default=200_000, help="rows changed, half of them customers")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    return parser.parse_args(argv)


def run(stack: Stack, options: argparse.Namespace, console: Console) -> Report:
    report, folder = Report(), failpoints_of(stack.var)
    faults = Faults(stack, folder, random.Random(options.seed))
    over = threading.Event()
    with Keeper(stack, folder / "fired", STANDS_SECONDS) as keeper:
        began = time.monotonic()
        trouble = threading.Thread(target=make_trouble, args=(faults, report, over))
        trouble.start()
        try:
            with console.status(f"{options.rows} customers and products, {options.changes} changes …"):
                changing = [
                    start_changes(stack, service, options, number) for number, service in enumerate(SOURCES)
                ]
                for process in changing:
                    out, _ = process.communicate()
                    report.changed.append(out.strip().splitlines()[-1] if out.strip() else "nothing changed")
                    if process.returncode:
                        report.troubles.append(f"the changes ended with {process.returncode}: {out[-500:]}")
            report.changing = time.monotonic() - began
        finally:
            over.set()
            trouble.join()
        with console.status("waiting for the last events …"):
            report.arriving = wait_until_published(stack)
        for service in KEEPERS:
            report.compared[service] = check(stack, service, console)
        report.troubles += keeper.troubles
    return report


def start_changes(
    stack: Stack, service: str, options: argparse.Namespace, number: int
) -> subprocess.Popen[str]:
    argv = [
        "--rows",
        options.rows,
        "--changes",
        options.changes // len(SOURCES),
        "--seed",
        options.seed + number,
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.changes", service, *map(str, argv)],
        cwd=ROOT, env=stack.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def make_trouble(faults: Faults, report: Report, over: threading.Event) -> None:
    """Kill one after the other until the changes are through; count those that hit while events were on their way."""
    kinds, weights = list(KINDS), list(KINDS.values())
    while not over.wait(faults.chance.uniform(*PAUSE_SECONDS)):
        kind = faults.chance.choices(kinds, weights)[0]
        landed = is_behind(faults.stack) and faults.do(kind)
        (report.landed if landed else report.missed)[kind] += 1


def is_behind(stack: Stack) -> bool:
    """Whether a change is under way at this moment."""
    for source, table, copies in COPIES:
        there = ask(stack, source, f"SELECT sum(version) FROM {table}")
        if any(ask(stack, s, f"SELECT sum(version) FROM {t} WHERE NOT deleted") != there for s, t in copies):
            return True
    return False


def unpublished(stack: Stack) -> int:
    try:
        return sum(int(ask(stack, service, UNPUBLISHED)[0][0]) for service in SOURCES)
    except psycopg.OperationalError:
        return 0


def wait_until_published(stack: Stack) -> float:
    """Return the seconds until the outboxes were empty; what is in the broker then, a check's patience waits for."""
    began = time.monotonic()
    while unpublished(stack) and time.monotonic() - began < PATIENCE_SECONDS:
        time.sleep(0.5)
    return time.monotonic() - began


def check(stack: Stack, service: str, console: Console) -> tuple[int, int]:
    """Rows compared and rows that differ of the copies that a service keeps, by its own command."""
    argv = [sys.executable, "manage.py", service, "sync", "--check", "--patience", str(PATIENCE_SECONDS)]
    done = subprocess.run(
        argv, cwd=ROOT, env=stack.environment, capture_output=True, text=True, check=False,
        timeout=2 * PATIENCE_SECONDS,
    )  # fmt: skip
    for line in done.stdout.splitlines()[:-1]:
        console.print(line, markup=False)
    found = LAST_LINE.search(done.stdout)
    if found is None:
        raise LocalError(f"{service} sync: {done.stdout[-500:]}{done.stderr[-1000:]}")
    return int(found[1]), int(found[2])


def tell(report: Report, options: argparse.Namespace, console: Console) -> int:
    table = Table("fault", "landed mid-flight", "missed")
    for kind in KINDS:
        table.add_row(kind, str(report.landed[kind]), str(report.missed[kind]))
    console.print(table)
    for line in (*report.changed, *report.troubles):
        console.print(line, markup=False)
    console.print(f"changed for {report.changing:.0f} s, all published {report.arriving:.0f} s later")
    rows, differing = (sum(pair[n] for pair in report.compared.values()) for n in (0, 1))
    print(
        f"chaos-copies: {options.changes} changes, {report.landed.total()} kills landed mid-flight,"
        f" {rows} rows compared, {differing} differ",
        flush=True,
    )
    weak = not report.landed or not rows
    if weak:
        console.print("nothing was killed while events were on their way: this proves nothing", style="red")
    return 1 if differing or report.troubles or weak else 0
