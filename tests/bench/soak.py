"""Steady load for a long time: whether memory stays flat, and what an order costs at the end of it."""

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
from tests.bench.report import show_faults
from tests.bench.system import servers, webs, working
from tests.bench.three import audit as three

PIECE_SECONDS = 60
# What a process of ours may grow by in a minute, and in all, after the first quarter. The first shows a leak, the
# second is what a heap moves by itself.
ALLOWED_MB_A_MINUTE = 0.1
NOISE_MB = 1.0
TITLE = "MB that each part shares with no other process"


def measure(stack: Stack, console: Console, options: argparse.Namespace) -> int:
    """Place orders at the rate, a minute at a time: all of each minute's must end, then memory is read."""
    ours, all_of = working(stack) | webs(stack), working(stack) | webs(stack) | servers(stack)
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
                    parts=all_of,
                )
            )
            result.write_text(json.dumps([asdict(minute) for minute in minutes], indent=1) + "\n")
            progress.update(bar, advance=1)
    faults = [*three.faults(stack.environment)]
    faults += [f"{name} grows" for name in ours if grows([minute.private[name] for minute in minutes])]
    console.print(table(minutes))
    console.print(f"All minutes are in {result}.")
    show_faults(console, faults)
    violations = audit(stack) + len(faults)
    print(last_line(minutes, ours, violations), flush=True)
    return 1 if violations else 0


def settled(values: Sequence[float]) -> Sequence[float]:
    """Those after the first quarter, in which caches and pools fill."""
    return values[len(values) // 4 :]


def slope(values: Sequence[float]) -> float:
    """How much they grow from one to the next, once settled: the median slope of all pairs (Theil–Sen).

    A crowd after a pause leaves a heap larger for good. That is one step, which would tilt the line of least squares.
    """
    pairs = combinations(enumerate(settled(values)), 2)
    return median([(b - a) / (j - i) for (i, a), (j, b) in pairs] or [0.0])


def grows(megabytes: Sequence[float]) -> bool:
    a_minute = slope(megabytes)
    return a_minute > ALLOWED_MB_A_MINUTE and a_minute * len(settled(megabytes)) > NOISE_MB


def table(minutes: Sequence[Run]) -> Table:
    marks = sorted({quarter * (len(minutes) - 1) // 4 for quarter in range(5)})
    made = Table("minute", *(str(mark + 1) for mark in marks), "in 10 minutes", title=TITLE)
    made.columns[0].no_wrap = True

    def row(title: str, values: Sequence[float], digits: int, growth: str = "") -> None:
        made.add_row(title, *(f"{values[mark]:.{digits}f}" for mark in marks), growth)

    for name in minutes[0].private:
        values = [minute.private[name] for minute in minutes]
        row(name, values, 1, f"{10 * slope(values):+.2f}")
    made.add_section()
    row("CPU ms an order", [minute.cpu_total for minute in minutes], 1)
    row("to the end, p50 ms", [minute.p50 for minute in minutes], 0)
    row("to the end, p99 ms", [minute.p99 for minute in minutes], 0)
    return made


def last_line(minutes: Sequence[Run], ours: Iterable[str], violations: int) -> str:
    orders = sum(minute.orders for minute in minutes)
    most = max(10 * slope([minute.private[name] for minute in minutes]) for name in ours)
    return (
        f"soak: {len(minutes)} minutes, {orders} sagas, at most {most:+.2f} MB in 10 minutes,"
        f" {violations} violations"
    )
