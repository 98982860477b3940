"""`./manage.py bench --soak`: under steady load for a long time, memory stays flat."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import combinations
from statistics import median

from rich.console import Console
from rich.table import Table

from celery_config.common.console import progress_bars
from compose.local.demo import audit
from compose.local.stack import Stack
from tests.bench.measure import Run, run_client
from tests.bench.report import print_faults
from tests.bench.system import find_all_parts, find_webs, find_workers
from tests.bench.three.audit import find_faults

PIECE_SECONDS = 60
# By how much a process of ours may grow in a minute, and in all, after the first quarter. Steady growth is a leak; the
# second number is the noise of a heap without a leak.
ALLOWED_MB_A_MINUTE = 0.1
NOISE_MB = 1.0
TITLE = "MB of each part that no other process shares"


def measure_soak(stack: Stack, console: Console, options: argparse.Namespace) -> int:
    """Place orders at the rate, one minute after the other: when all orders of a minute have ended, read the memory."""
    ours, parts = find_workers(stack) | find_webs(stack), find_all_parts(stack)
    orders, count = int(options.rate * PIECE_SECONDS), math.ceil(options.soak / PIECE_SECONDS)
    minutes: list[Run] = []
    result = stack.var / "soak.json"
    with progress_bars(console) as progress:
        bar = progress.add_task(f"minutes at {options.rate:g}/s", total=count)
        while len(minutes) < count:
            minutes.append(
                run_client(
                    "three-steps",
                    orders=orders,
                    rate=options.rate,
                    environment=stack.environment,
                    parts=parts,
                )
            )
            result.write_text(json.dumps([asdict(minute) for minute in minutes], indent=1) + "\n")
            progress.update(bar, advance=1)
    faults = [*find_faults(stack.environment)]
    faults += [f"{name} grows" for name in ours if is_growing([minute.private[name] for minute in minutes])]
    console.print(make_table(minutes))
    console.print(f"All minutes are in {result}.")
    print_faults(console, faults)
    violations = audit(stack) + len(faults)
    print(format_last_line(minutes, ours, violations), flush=True)
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


def make_table(minutes: Sequence[Run]) -> Table:
    marks = sorted({quarter * (len(minutes) - 1) // 4 for quarter in range(5)})
    made = Table("minute", *(str(mark + 1) for mark in marks), "in 10 minutes", title=TITLE)
    made.columns[0].no_wrap = True

    def add_row(title: str, values: Sequence[float], digits: int, growth: str = "") -> None:
        made.add_row(title, *(f"{values[mark]:.{digits}f}" for mark in marks), growth)

    for name in minutes[0].private:
        values = [minute.private[name] for minute in minutes]
        add_row(name, values, 1, f"{10 * compute_slope(values):+.2f}")
    made.add_section()
    add_row("CPU ms an order", [minute.cpu_total for minute in minutes], 1)
    add_row("to the end, p50 ms", [minute.p50 for minute in minutes], 0)
    add_row("to the end, p99 ms", [minute.p99 for minute in minutes], 0)
    return made


def format_last_line(minutes: Sequence[Run], ours: Iterable[str], violations: int) -> str:
    orders = sum(minute.orders for minute in minutes)
    most = max(10 * compute_slope([minute.private[name] for minute in minutes]) for name in ours)
    return (
        f"soak: {len(minutes)} minutes, {orders} sagas, at most {most:+.2f} MB in 10 minutes,"
        f" {violations} violations"
    )
