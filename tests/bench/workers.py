"""`./manage.py bench --workers`: the speed and the cost of a saga by the number of workers for each service."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from rich.console import Console

from celery_config.common.console import progress_bars
from celery_config.common.services import SERVICES
from compose.local.stack import Stack
from tests.bench.measure import Run, take_median
from tests.bench.report import make_run_table, print_faults
from tests.bench.system import run_ours, warm_up
from tests.bench.three import audit


def measure_workers(stack: Stack, console: Console, options: argparse.Namespace) -> int:
    """Measure each number of workers in turn, in each round."""
    found: dict[int, list[Run]] = {count: [] for count in options.workers}
    with progress_bars(console) as progress:
        for number in range(1, options.rounds + 1):
            for count, runs in found.items():
                for service in SERVICES:
                    run_workers(stack, service, count)
                warm_up(stack, progress, options.orders)
                title = f"{count} workers a service, round {number}"
                runs.append(run_ours(stack, progress, title, options.orders))
    result = stack.var / "workers.json"
    result.write_text(
        json.dumps({n: [asdict(r) for r in runs] for n, runs in found.items()}, indent=1) + "\n"
    )
    console.print(make_run_table("workers a service", {str(n): runs for n, runs in found.items()}))
    faults = list(audit.find_faults(stack.environment))
    print_faults(console, faults)
    speeds = ", ".join(f"{take_median(runs).per_second:.1f} with {count}" for count, runs in found.items())
    print(f"workers: {speeds}; {len(faults)} faults", flush=True)
    return 1 if faults else 0


def run_workers(stack: Stack, service: str, count: int) -> None:
    """Bring a service to `count` workers: start those that are missing, stop the others.

    Raises:
        ProcessFailed: one did not start.
    """
    workers = [stack.blueprint.worker(service, n + 1) for n in range(count)]
    wanted = {worker.name: worker for worker in workers}
    mine = [name for name in stack.supervisor.names if name.startswith(f"{service}-worker")]
    there = {name for name in mine if stack.supervisor[name].is_running}
    for name in there - wanted.keys():
        stack.supervisor[name].stop()
    stack.supervisor.start([wanted[name] for name in wanted.keys() - there])
