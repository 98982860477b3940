"""`./manage.py bench --soak`: the memory of every process stays flat, under steady load for long, then idle as long.

An idle process is the harder case: where little is allocated, Python's collector hardly runs, and what it would free
piles up.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from statistics import median

from rich.console import Console
from rich.table import Table

from celery_config.common.console import progress_bars
from compose.local.demo import audit
from compose.local.shopper import Shopper
from compose.local.stack import Stack
from tests.bench.cpu import measure_memory
from tests.bench.goods import OPENING_STOCK, PRODUCTS
from tests.bench.measure import Run, run_client
from tests.bench.report import print_faults
from tests.bench.system import find_all_parts, find_webs, find_workers
from tests.chaos.system import execute

PIECE_SECONDS = 60
SIDES = ("place-order over HTTP", "place-order over REST", "place-order choreographed")
"""How the orders of a minute are placed, in turn; together they use every process and every kind of call."""
CHANGES = {
    "inventory": "UPDATE inventory_product SET name = 'Product ' || txid_current()",
    "order": "UPDATE order_customer SET name = 'Customer ' || txid_current()",
}
"""What changes every minute, so that copies follow."""
# By how much a process of ours may grow in a minute, and in all, after the first quarter. Steady growth is a leak; the
# second number is the noise of a heap without a leak.
ALLOWED_MB_A_MINUTE = 0.1
NOISE_MB = 1.0
TITLE = "MB of each part that no other process shares"
Memory = Mapping[str, float]
"""Of each part, in MB."""


def measure_soak(stack: Stack, console: Console, options: argparse.Namespace) -> int:
    """Place orders at the rate, one minute after the other, then none; after each minute read the memory."""
    Shopper(stack).stock_shelves(PRODUCTS, OPENING_STOCK)
    ours, parts = find_workers(stack) | find_webs(stack), find_all_parts(stack)
    orders, count = int(options.rate * PIECE_SECONDS), math.ceil(options.soak / PIECE_SECONDS)
    loaded: list[Run] = []
    idle: list[Memory] = []
    result = stack.var / "soak.json"

    def work() -> None:
        for service, statement in CHANGES.items():
            execute(stack, service, statement)
        side = SIDES[len(loaded) % len(SIDES)]
        loaded.append(
            run_client(side, orders=orders, rate=options.rate, environment=stack.environment, parts=parts)
        )

    def rest() -> None:
        time.sleep(PIECE_SECONDS)  # time itself is what is waited for
        idle.append(measure_memory(parts, "uss"))

    minutes: dict[str, Callable[[], None]] = {f"minutes at {options.rate:g}/s": work, "idle minutes": rest}
    with progress_bars(console) as progress:
        for title, pass_minute in minutes.items():
            bar = progress.add_task(title, total=count)
            for _ in range(count):
                pass_minute()
                found = {"loaded": [asdict(minute) for minute in loaded], "idle": idle}
                result.write_text(json.dumps(found, indent=1) + "\n")
                progress.update(bar, advance=1)
    phases = {"under load": [minute.private for minute in loaded], "idle": idle}
    faults = [
        f"{name} grows {phase}"
        for phase, memories in phases.items()
        for name in ours
        if is_growing([memory[name] for memory in memories])
    ]
    console.print(make_table(phases))
    console.print(f"All minutes are in {result}.")
    print_faults(console, faults)
    violations = audit(stack) + len(faults)
    print(format_last_line(phases, sum(minute.orders for minute in loaded), ours, violations), flush=True)
    return 1 if violations else 0


def skip_first_quarter(values: Sequence[float]) -> Sequence[float]:
    """Return the values after the first quarter, in which caches and pools fill."""
    return values[len(values) // 4 :]


def compute_slope(values: Sequence[float]) -> float:
    """Return the growth from one value to the next after the first quarter: the median slope of all pairs (Theil–Sen).

    Many messages after a pause can leave a heap larger for good. Such a single step does not change the median; it
    would tilt the line of least squares.
    """
    pairs = combinations(enumerate(skip_first_quarter(values)), 2)
    return median([(b - a) / (j - i) for (i, a), (j, b) in pairs] or [0.0])


def is_growing(megabytes: Sequence[float]) -> bool:
    a_minute = compute_slope(megabytes)
    return a_minute > ALLOWED_MB_A_MINUTE and a_minute * len(skip_first_quarter(megabytes)) > NOISE_MB


def make_table(phases: Mapping[str, Sequence[Memory]]) -> Table:
    """Show each part at the beginning, the quarters and the end of each phase, and how much it grows."""
    count = len(next(iter(phases.values())))
    marks = sorted({quarter * (count - 1) // 4 for quarter in range(5)})
    made = Table("minute", title=TITLE)
    for phase in phases:
        for mark in marks:
            made.add_column(f"{phase}, {mark + 1}" if mark == marks[0] else str(mark + 1))
        made.add_column("in 10 minutes")
    made.columns[0].no_wrap = True
    for name in next(iter(phases.values()))[0]:
        row = []
        for memories in phases.values():
            values = [memory[name] for memory in memories]
            row += [*(f"{values[mark]:.1f}" for mark in marks), f"{10 * compute_slope(values):+.2f}"]
        made.add_row(name, *row)
    return made


def format_last_line(
    phases: Mapping[str, Sequence[Memory]], orders: int, ours: Iterable[str], violations: int
) -> str:
    minutes = sum(map(len, phases.values()))
    most = max(
        10 * compute_slope([memory[name] for memory in memories])
        for memories in phases.values()
        for name in ours
    )
    return f"soak: {minutes} minutes, {orders} orders, at most {most:+.2f} MB in 10 minutes, {violations} violations"
