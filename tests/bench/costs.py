"""`./manage.py bench --cost NAME`: what a guarantee or a feature costs, with it off and on in turn."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from statistics import median

from rich.console import Console

from celery_config.broker.message_authentication import Mode
from celery_config.common.console import progress_bars
from celery_config.common.services import ORCHESTRATOR, PARTICIPANTS
from celery_config.common.tracing import ENDPOINT
from compose.local.shopper import Shopper
from compose.local.stack import Stack
from tests.bench.goods import OPENING_STOCK, PRODUCTS
from tests.bench.measure import Run
from tests.bench.report import format_spread, make_run_table, print_faults
from tests.bench.system import find_all_parts, run_ours, warm_up
from tests.bench.three import audit
from tests.trace_collector import collect

SERVICES = (ORCHESTRATOR, *PARTICIPANTS)
WORKERS = tuple(f"{service}-worker" for service in SERVICES)
RELAYS = tuple(f"{service}-relay" for service in SERVICES)
OFF, ON = "off", "on"


@dataclass(frozen=True)
class Switch:
    """A setting that turns something off and on."""

    variable: str
    values: Mapping[str, str]
    """By `off` and `on`."""
    processes: tuple[str, ...]
    """Those that the setting changes, besides the client that places the orders."""
    side: str = "three-steps"
    """The orders that are placed."""
    rate: float = 0.0
    """Orders a second; 0 is full speed."""


def switch_authentication() -> AbstractContextManager[Switch]:
    values = {OFF: Mode.OFF.value, ON: Mode.REQUIRE.value}
    return nullcontext(Switch("MESSAGE_AUTHENTICATION", values, WORKERS))


@contextmanager
def switch_tracing() -> Iterator[Switch]:
    """Each span is recorded. The collector runs in the process that measures, and is not counted."""
    with collect() as collector:
        yield Switch(ENDPOINT, {OFF: "", ON: collector.url}, (*WORKERS, *RELAYS))


def switch_proof() -> AbstractContextManager[Switch]:
    """A relay proves whole orders every ten seconds: a slow run has passes within it, of all but its last orders."""
    values = {OFF: "false", ON: "true"}
    return nullcontext(Switch("PROVE_ORDERS", values, (RELAYS[0],), side="place-order", rate=20.0))


SWITCHES = {"authentication": switch_authentication, "proof": switch_proof, "tracing": switch_tracing}


def measure_cost(stack: Stack, console: Console, options: argparse.Namespace) -> int:
    """Measure off and on in each round; every other round begins with the other one, should the machine slow down."""
    found: dict[str, list[Run]] = {OFF: [], ON: []}
    Shopper(stack).stock_shelves(PRODUCTS, OPENING_STOCK)
    with SWITCHES[options.cost]() as switch, progress_bars(console) as progress:
        for number in range(1, options.rounds + 1):
            for side in (OFF, ON)[:: 1 if number % 2 else -1]:
                turn(stack, switch, side)
                warm_up(stack, progress, options.orders, side=switch.side)
                title = f"{side}, round {number}"
                # The webs of the participants answer what a proof asks.
                parts = find_all_parts(stack) if switch.rate else None
                found[side].append(
                    run_ours(
                        stack,
                        progress,
                        title,
                        options.orders,
                        side=switch.side,
                        rate=switch.rate,
                        parts=parts,
                    )
                )
    result = stack.var / f"{options.cost}.json"
    result.write_text(
        json.dumps({side: [asdict(r) for r in runs] for side, runs in found.items()}, indent=1) + "\n"
    )
    console.print(make_run_table(options.cost, found))
    faults = list(audit.find_faults(stack.environment))
    print_faults(console, faults)
    off, on = ([run.cpu_total for run in found[side]] for side in (OFF, ON))
    pairs = [100 * (more / less - 1) for less, more in zip(off, on, strict=True)]
    print(
        f"{options.cost}: {format_spread(off, 2)} ms CPU an order off, {format_spread(on, 2)} on:"
        f" {100 * (median(on) / median(off) - 1):+.1f} %, by round {format_spread(pairs)} %;"
        f" {len(faults)} faults",
        flush=True,
    )
    return 1 if faults else 0


def turn(stack: Stack, switch: Switch, side: str) -> None:
    """Turn it off or on for the client and the processes; nothing is on its way."""
    value = switch.values[side]
    stack.environment[switch.variable] = value
    processes = [stack.supervisor[name] for name in switch.processes]
    for process in processes:
        process.stop()
        process.env = {**(process.env or {}), switch.variable: value}
    stack.supervisor.start(processes)
