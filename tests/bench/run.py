"""`./manage.py bench`: orders per second, latency and processor time on the real stack, against a bare Celery chain."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from celery_config.common.arguments import parse_count, parse_counts, parse_rate
from celery_config.common.console import progress_bars
from compose.local.demo import audit
from compose.local.errors import LocalError
from compose.local.output import print_error
from compose.local.shopper import Shopper
from compose.local.stack import Stack
from tests.bench import costs, flows, growth, providers, retention, soak, system, workers
from tests.bench.bare.system import SANDBOX, BareSystem
from tests.bench.goods import OPENING_STOCK, PRODUCTS
from tests.bench.loads import (
    BARE,
    FLOOR,
    IN_PROCESS,
    OURS,
    PLACE_ORDER,
    THREE_STEPS,
    WITH_PEERS,
    Load,
    Results,
)
from tests.bench.measure import Run, run_client
from tests.bench.peers.home import PeerPackages
from tests.bench.peers.system import PeerSystem
from tests.bench.report import format_last_line, format_ratios, make_table

WARM_UP_SHARE = 0.15
RATE_SECONDS = 15.0
GROWTH = [1_000, 100_000, 1_000_000]
# What an option measures instead of the comparison.
INSTEAD = {
    "growth": growth.measure_growth,
    "workers": workers.measure_workers,
    "cost": costs.measure_cost,
    "soak": soak.measure_soak,
    "retention": retention.measure_retention,
    "flows": flows.compare_flows,
}
Measured = dict[str, Results]
"""The results of a load, by side."""


def main(argv: list[str]) -> int:
    options = parse(argv)
    # A file has no width: tables are not folded in it.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    stack: Stack | None = None
    try:
        stack = system.make_stack(choose_settings(options), with_webhooks=bool(options.soak))
        console.print(f"Logs: {stack.logs}", soft_wrap=True)
        if options.peers:
            PeerPackages(stack.var / "peers").install_missing(console)
        with console.status("Starting PostgreSQL, RabbitMQ and the four services …"):
            system.start_stack(stack)
        measures = [measure for name, measure in INSTEAD.items() if getattr(options, name)] or [compare_sides]
        return measures[0](stack, console, options)
    except KeyboardInterrupt:
        return 130
    except LocalError as error:
        print_error(error)
        return 1
    finally:
        if stack:
            stack.stop()


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py bench", description=__doc__)
    parser.add_argument("--orders", type=parse_count, default=3000, help="orders of three steps in each run")
    parser.add_argument(
        "--rounds", type=parse_count, default=3, help="rounds of all sides in turn; medians are shown"
    )
    parser.add_argument("--peers", action="store_true", help="measure DBOS and Restate too, and install them")
    parser.add_argument(
        "--rate", type=parse_rate, default=40.0, help="sagas a second, with --soak and --retention"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--growth",
        type=parse_counts,
        nargs="?",
        const=GROWTH,
        metavar="N,N,…",
        help="the cost of a saga by finished orders, and what pages and sweeps read",
    )
    instead.add_argument(
        "--flows", action="store_true", help="both flows of an order and both transports, side by side"
    )
    instead.add_argument(
        "--workers", type=parse_counts, metavar="N,N,…", help="the speed by workers a service"
    )
    instead.add_argument(
        "--cost", choices=sorted(costs.SWITCHES), help="what it costs, with it off and on in turn"
    )
    instead.add_argument(
        "--soak",
        type=parse_count,
        metavar="SECONDS",
        help="so long under steady load, then as long idle; memory must stay flat",
    )
    instead.add_argument(
        "--retention",
        type=parse_count,
        metavar="SECONDS",
        help="steady load for ten times as long as rows are kept; files must stop growing",
    )
    return parser.parse_args(argv)


def choose_settings(options: argparse.Namespace) -> dict[str, str]:
    """Return what a measurement needs besides the usual environment."""
    if options.growth:
        return growth.SETTINGS
    return retention.make_settings(options.retention) if options.retention else {}


def compare_sides(stack: Stack, console: Console, options: argparse.Namespace) -> int:
    """Measure the order saga, the bare chain, the floor and, where wanted, the peers."""
    Shopper(stack).stock_shelves(PRODUCTS, OPENING_STOCK)
    bare = BareSystem(stack)
    with console.status("Starting the bare chain …"):
        bare.start()
    bench = Bench(stack, bare, console)
    if options.peers:
        bench.peers.start()
    return bench.measure(options)


class Bench:
    """Measures each load on each side, with everything running."""

    def __init__(self, stack: Stack, bare: BareSystem, console: Console) -> None:
        self.stack, self.bare, self.console = stack, bare, console
        self.peers = PeerSystem(stack, bare.environment)

    def measure(self, options: argparse.Namespace) -> int:
        found: dict[str, Measured] = {}
        for load in (WITH_PEERS if options.peers else THREE_STEPS, PLACE_ORDER):
            found[load.title] = self.measure_and_print(load, options)
        # Before the last load: its providers keep no books to compare with.
        violations = audit(self.stack)
        self.use_instant_providers()
        found[IN_PROCESS.title] = self.measure_and_print(IN_PROCESS, options)
        result = self.stack.var / "result.json"
        write_results(result, found, violations)
        self.console.print(f"All runs are in {result}.")
        print(format_last_line(found[THREE_STEPS.title], THREE_STEPS.rates[0]), flush=True)
        return 1 if violations else 0

    def use_instant_providers(self) -> None:
        """Restart the workers with providers in the process: from now on no worker calls the sandbox."""
        for name in ("payment-worker", "shipment-worker", "bare-payment-worker", "bare-shipment-worker"):
            process = self.stack.supervisor[name]
            process.env = {**(process.env or {}), **providers.IN_PROCESS}
            self.stack.restart(name)

    def measure_and_print(self, load: Load, options: argparse.Namespace) -> Measured:
        with progress_bars(self.console) as progress:
            found = self.measure_load(load, options, progress)
        self.console.print(make_table(load, found))
        self.console.print(format_ratios(found))
        return found

    def measure_load(self, load: Load, options: argparse.Namespace, progress: Progress) -> Measured:
        found: Measured = {name: Results() for name in load.sides}
        orders = int(options.orders * load.share)
        for name in load.sides:
            self.run_once(load, name, progress, "warm-up", int(orders * WARM_UP_SHARE))
        for number in range(1, options.rounds + 1):
            for name in load.sides:
                run = self.run_once(load, name, progress, f"round {number}", orders)
                found[name].full_speed.append(run)
            if load.refused_share:
                title = f"round {number}, {load.refused_share:.0%} refused"
                run = self.run_once(load, OURS, progress, title, orders, refused_share=load.refused_share)
                found[OURS].refused.append(run)
        for rate in load.rates:
            for name in load.sides:
                count = int(rate * RATE_SECONDS)
                found[name].at_rate[rate] = self.run_once(
                    load, name, progress, f"{rate:g}/s", count, rate=rate
                )
        return found

    def run_once(
        self, load: Load, name: str, progress: Progress, title: str, orders: int,
        *, rate: float = 0.0, refused_share: float = 0.0,
    ) -> Run:  # fmt: skip
        bar = progress.add_task(f"{title}, {name}", total=orders)
        with nullcontext() if name == OURS else system.pause_relays(self.stack), self.peers.run_only(name):
            return run_client(
                load.sides[name],
                orders=orders,
                rate=rate,
                refused_share=refused_share,
                environment=self.choose_environment(name),
                parts=self.find_parts(name) | system.find_servers(self.stack),
                python=self.peers.python if name in self.peers.parts_of else sys.executable,
                progress=lambda ended: progress.update(bar, completed=ended),
            )

    def choose_environment(self, name: str) -> dict[str, str]:
        if name == OURS:
            return dict(self.stack.environment)
        return dict(self.peers.environment if name in self.peers.parts_of else self.bare.environment)

    def find_parts(self, name: str) -> dict[str, int]:
        """Return the first process of each part that works for a side, without the servers."""
        supervisor = self.stack.supervisor
        if name == OURS:
            return system.find_workers(self.stack)
        names = {
            BARE: [*self.bare.worker_names, SANDBOX],
            FLOOR: [],
            **self.peers.parts_of,
        }[name]
        return {name.removeprefix("bare-"): supervisor[name].pid for name in names}


def write_results(path: Path, found: dict[str, Measured], violations: int) -> None:
    loads = {title: {name: asdict(r) for name, r in sides.items()} for title, sides in found.items()}
    path.write_text(json.dumps({"loads": loads, "violations": violations}, indent=1) + "\n")
