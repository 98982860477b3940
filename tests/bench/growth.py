"""What an order costs with few and with many finished ones in the tables of all services."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime

from rich.box import MARKDOWN
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from celery_config.progress import progress_bars
from celery_config.topology import SERVICES
from compose.local.stack import Stack
from tests.bench.measure import Run, middle, run_client
from tests.bench.past import Past
from tests.bench.report import spread
from tests.bench.system import servers, working
from tests.bench.three import audit

TEMPLATE = 1000
SETTINGS = {"EVENT_RETENTION_DAYS": "90"}
"""So that nothing that was put into the past is deleted while it is measured."""
WARM_UP_SHARE = 0.3


def measure(stack: Stack, console: Console, options: argparse.Namespace) -> int:
    """Measure at each number of finished orders, and at the first once more: a machine that slows down shows."""
    growth = Growth(stack, options)
    found: dict[int, list[Run]] = {size: [] for size in options.growth}
    with progress_bars(console) as progress:
        growth.keep(progress)
        for size in [*options.growth, options.growth[0]]:
            found[size] += growth.runs(size, progress)
            write(stack, found)
    faults = list(audit.faults(stack.environment))
    console.print(table(found))
    for fault in faults:
        console.print(f"[red]fault[/red]: {fault}")
    print(last_line(found), flush=True)
    return 1 if faults else 0


class Growth:
    """The stack with a past."""

    def __init__(self, stack: Stack, options: argparse.Namespace) -> None:
        assert stack.postgres is not None
        self.stack, self.options = stack, options
        began, url = datetime.now(UTC), stack.postgres.superuser_url
        self.pasts = [Past(url(service), "three_steps", began) for service in SERVICES]

    def keep(self, progress: Progress) -> None:
        self.run("orders to be copied", TEMPLATE, progress)
        ended = datetime.now(UTC)
        for past in self.pasts:
            past.keep(TEMPLATE, ended)

    def fill(self, size: int, progress: Progress) -> None:
        """Let so many finished orders stand in the tables of all services."""
        bar = progress.add_task(f"{size:,} into the past", total=size * len(self.pasts))
        with ThreadPoolExecutor(len(self.pasts)) as pool:
            list(pool.map(lambda past: past.fill(size, lambda n: progress.advance(bar, n)), self.pasts))

    def runs(self, size: int, progress: Progress) -> list[Run]:
        runs: list[Run] = []
        self.fill(size, progress)
        self.run("warm-up", int(self.options.orders * WARM_UP_SHARE), progress)
        for number in range(1, self.options.rounds + 1):
            if size < 10 * self.options.orders:
                self.fill(size, progress)
            runs.append(self.run(f"{size:,} finished, round {number}", self.options.orders, progress))
        return runs

    def run(self, title: str, orders: int, progress: Progress) -> Run:
        bar = progress.add_task(title, total=orders)
        return run_client(
            "three-steps",
            orders=orders,
            environment=self.stack.environment,
            parts=working(self.stack) | servers(self.stack),
            progress=lambda ended: progress.update(bar, completed=ended),
        )


def table(found: Mapping[int, Sequence[Run]]) -> Table:
    made = Table("finished orders", *(f"{size:,}" for size in found), "ratio", box=MARKDOWN)
    middles = [middle(runs) for runs in found.values()]

    def row(title: str, shown: Sequence[str], values: Sequence[float]) -> None:
        made.add_row(title, *shown, f"{values[-1] / values[0]:.2f}" if values[0] else "—")

    row(
        "sagas/s",
        [spread([r.per_second for r in runs]) for runs in found.values()],
        [m.per_second for m in middles],
    )
    row(
        "CPU ms a saga",
        [spread([r.cpu_total for r in runs]) for runs in found.values()],
        [m.cpu_total for m in middles],
    )
    for part in middles[0].cpu:
        values = [each.cpu[part] for each in middles]
        row(part, [f"{value:.2f}" for value in values], values)
    return made


def write(stack: Stack, found: Mapping[int, Sequence[Run]]) -> None:
    runs = {size: [asdict(run) for run in runs] for size, runs in found.items()}
    (stack.var / "growth.json").write_text(json.dumps(runs, indent=1) + "\n")


def last_line(found: Mapping[int, Sequence[Run]]) -> str:
    first, *_, last = ((size, middle(runs)) for size, runs in found.items())
    ratio = last[1].cpu_total / first[1].cpu_total
    return f"growth: {ratio:.2f} of the CPU a saga with {last[0]:,} finished orders instead of {first[0]:,}"
