"""`./manage.py bench --authentication`: what the proofs of messages cost, with them off and required in turn."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from statistics import median

from rich.console import Console

from celery_config.broker.message_authentication import Mode
from celery_config.common.console import progress_bars
from celery_config.common.services import ORCHESTRATOR, PARTICIPANTS
from compose.local.stack import Stack
from tests.bench.measure import Run
from tests.bench.report import format_spread, make_run_table, print_faults
from tests.bench.system import run_ours, warm_up
from tests.bench.three import audit

VARIABLE = "MESSAGE_AUTHENTICATION"
MODES = (Mode.OFF, Mode.REQUIRE)
WORKERS = tuple(f"{service}-worker" for service in (ORCHESTRATOR, *PARTICIPANTS))
"""Besides the client, which places the orders, only these make or check proofs."""


def measure_authentication(stack: Stack, console: Console, options: argparse.Namespace) -> int:
    """Measure both modes in each round; every other round begins with the other one, should the machine slow down."""
    found: dict[str, list[Run]] = {mode: [] for mode in MODES}
    with progress_bars(console) as progress:
        for number in range(1, options.rounds + 1):
            for mode in MODES[:: 1 if number % 2 else -1]:
                switch_mode(stack, mode)
                warm_up(stack, progress, options.orders)
                found[mode].append(run_ours(stack, progress, f"{mode}, round {number}", options.orders))
    result = stack.var / "authentication.json"
    result.write_text(
        json.dumps({mode: [asdict(r) for r in runs] for mode, runs in found.items()}, indent=1) + "\n"
    )
    console.print(make_run_table(VARIABLE, found))
    faults = list(audit.find_faults(stack.environment))
    print_faults(console, faults)
    off, required = ([run.cpu_total for run in found[mode]] for mode in MODES)
    pairs = [100 * (more / less - 1) for less, more in zip(off, required, strict=True)]
    print(
        f"authentication: {format_spread(off, 2)} ms CPU an order off, {format_spread(required, 2)} required:"
        f" {100 * (median(required) / median(off) - 1):+.1f} %, by round {format_spread(pairs)} %;"
        f" {len(faults)} faults",
        flush=True,
    )
    return 1 if faults else 0


def switch_mode(stack: Stack, mode: Mode) -> None:
    """Let the client and the workers demand so much of messages; nothing is on its way."""
    stack.environment[VARIABLE] = mode
    workers = [stack.supervisor[name] for name in WORKERS]
    for worker in workers:
        worker.stop()
        worker.env = {**(worker.env or {}), VARIABLE: mode}
    stack.supervisor.start(workers)
