"""`./manage.py chaos-copies`: rows change while relays, workers and broker are killed; then all copies are equal."""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

import psycopg
from rich.console import Console

from celery_config.common.arguments import parse_count
from compose.local.environment import ROOT
from compose.local.errors import LocalError
from compose.local.stack import Stack
from tests.chaos.faults import FaultCounts, Faults
from tests.chaos.quiet import UNPUBLISHED
from tests.chaos.restarter import Restarter
from tests.chaos.system import STOP_SECONDS, fetch_rows, find_failpoints, start_system

SOURCES = ("order", "inventory")
KEEPERS = ("order", "payment", "shipment")
# Service and table of each source, then those of its copies.
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
PUBLISH_SECONDS = 900
LAST_LINE = re.compile(r"sync: (\d+) rows compared, (\d+) differ")


@dataclass
class Report:
    """What happened in a run; times are in seconds. `compared` has rows compared and rows that differ, by service."""

    faults: FaultCounts = field(default_factory=FaultCounts)
    changed: list[str] = field(default_factory=list)
    changing: float = 0.0
    arriving: float = 0.0
    compared: dict[str, tuple[int, int]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def main(argv: list[str]) -> int:
    options = parse_options(argv)
    console = Console(highlight=False)
    console.print(f"seed {options.seed}")
    with start_system("chaos-copies", console) as stack:
        report = run_chaos(stack, options, console)
    return print_report(report, options, console)


def parse_options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py chaos-copies", description=__doc__)
    parser.add_argument("--rows", type=parse_count, default=100_000, help="customers, and also products")
    parser.add_argument(
        "--changes", type=parse_count, default=200_000, help="rows to change, half of them customers"
    )
    parser.add_argument("--seed", type=int, default=int(time.time()))
    return parser.parse_args(argv)


def run_chaos(stack: Stack, options: argparse.Namespace, console: Console) -> Report:
    report, folder = Report(), find_failpoints(stack.var)
    faults = Faults(stack, folder, random.Random(options.seed))
    over = threading.Event()
    with Restarter(stack, folder / "fired", STOP_SECONDS) as restarter:
        began = time.monotonic()
        causing = threading.Thread(target=cause_faults, args=(faults, report, over))
        causing.start()
        try:
            with console.status(f"{options.rows} customers and products, {options.changes} changes …"):
                changing = [
                    start_changes(stack, service, options, number) for number, service in enumerate(SOURCES)
                ]
                for process in changing:
                    out, _ = process.communicate()
                    report.changed.append(out.strip().splitlines()[-1] if out.strip() else "nothing changed")
                    if process.returncode:
                        report.failures.append(f"the changes ended with {process.returncode}: {out[-500:]}")
            report.changing = time.monotonic() - began
        finally:
            over.set()
            causing.join()
        with console.status("waiting for the last events …"):
            report.arriving = wait_until_published(stack)
        for service in KEEPERS:
            report.compared[service] = check_copies(stack, service, console)
        report.failures += restarter.failures
    return report


def start_changes(
    stack: Stack, service: str, options: argparse.Namespace, number: int
) -> subprocess.Popen[str]:
    changes = options.changes // len(SOURCES)
    argv = ["--rows", options.rows, "--changes", changes, "--seed", options.seed + number]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.changes", service, *map(str, argv)],
        cwd=ROOT, env=stack.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def cause_faults(faults: Faults, report: Report, over: threading.Event) -> None:
    """Kill one process after the other until the changes end; a kill has landed if events were under way."""
    kinds, weights = list(KINDS), list(KINDS.values())
    while not over.wait(faults.chance.uniform(*PAUSE_SECONDS)):
        kind = faults.chance.choices(kinds, weights)[0]
        landed = is_behind(faults.stack) and faults.cause(kind)
        (report.faults.landed if landed else report.faults.missed)[kind] += 1


def is_behind(stack: Stack) -> bool:
    """Return whether a copy differs from its source at this moment."""
    for source, table, copies in COPIES:
        wanted = fetch_rows(stack, source, f"SELECT sum(version) FROM {table}")
        if any(
            fetch_rows(stack, s, f"SELECT sum(version) FROM {t} WHERE NOT deleted") != wanted
            for s, t in copies
        ):
            return True
    return False


def count_unpublished(stack: Stack) -> int:
    try:
        return sum(int(fetch_rows(stack, service, UNPUBLISHED)[0][0]) for service in SOURCES)
    except psycopg.OperationalError:
        return 0


def wait_until_published(stack: Stack) -> float:
    """Wait until the outboxes are empty and return the seconds; the check then waits for what is in the broker."""
    began = time.monotonic()
    while count_unpublished(stack) and time.monotonic() - began < PUBLISH_SECONDS:
        time.sleep(0.5)
    return time.monotonic() - began


def check_copies(stack: Stack, service: str, console: Console) -> tuple[int, int]:
    """Compare the copies that a service keeps by its own command; return rows compared and rows that differ."""
    argv = [sys.executable, "manage.py", service, "sync", "--check", "--patience", str(PUBLISH_SECONDS)]
    done = subprocess.run(
        argv, cwd=ROOT, env=stack.environment, capture_output=True, text=True, check=False,
        timeout=2 * PUBLISH_SECONDS,
    )  # fmt: skip
    for line in done.stdout.splitlines()[:-1]:
        console.print(line, markup=False)
    found = LAST_LINE.search(done.stdout)
    if found is None:
        raise LocalError(f"{service} sync: {done.stdout[-500:]}{done.stderr[-1000:]}")
    return int(found[1]), int(found[2])


def print_report(report: Report, options: argparse.Namespace, console: Console) -> int:
    console.print(report.faults.make_table())
    for line in (*report.changed, *report.failures):
        console.print(line, markup=False)
    console.print(f"changed for {report.changing:.0f} s, all published {report.arriving:.0f} s later")
    rows, differing = (sum(pair[n] for pair in report.compared.values()) for n in (0, 1))
    print(
        f"chaos-copies: {options.changes} changes, {report.faults.landed.total()} kills landed mid-flight,"
        f" {rows} rows compared, {differing} differ",
        flush=True,
    )
    weak = not report.faults.landed or not rows
    if weak:
        console.print("no kill landed while events were under way: this run proves nothing", style="red")
    return 1 if differing or report.failures or weak else 0
