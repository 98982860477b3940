"""What more workers a service are good for."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from rich.console import Console

from celery_config.common.console import progress_bars
from celery_config.common.services import SERVICES
from compose.local.stack import Stack
from tests.bench.measure import Run, middle
from tests.bench.report import by_number, show_faults
from tests.bench.system import run_ours, warm_up
from tests.bench.three import audit


def measure(stack: Stack, console: Console, options: argparse.Namespace) -> int:
    """Measure each number of workers in turn, as many rounds as wanted."""
    found: dict[int, list[Run]] = {count: [] for count in options.workers}
    with progress_bars(console) as progress:
        for number in range(1, options.rounds + 1):
            for count, runs in found.items():
                for service in SERVICES:
                    stack.run_workers(service, count)
                warm_up(stack, progress, options.orders)
                title = f"{count} workers a service, round {number}"
                runs.append(run_ours(stack, progress, title, options.orders))
    result = stack.var / "workers.json"
    result.write_text(
        json.dumps({n: [asdict(r) for r in runs] for n, runs in found.items()}, indent=1) + "\n"
    )
    console.print(by_number("workers a service", found))
    faults = list(audit.faults(stack.environment))
    show_faults(console, faults)
    speeds = ", ".join(f"{middle(runs).per_second:.1f} with {count}" for count, runs in found.items())
    print(f"workers: {speeds}; {len(faults)} faults", flush=True)
    return 1 if faults else 0
