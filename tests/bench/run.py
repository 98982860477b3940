"""`./manage.py bench`: orders per second, latency and processor time on the real stack, against a bare Celery chain."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from celery_config.progress import progress_bars
from celery_config.topology import SERVICES
from compose.local.demo import audit
from compose.local.environment import ROOT, var_folder, without_servers
from compose.local.errors import LocalError
from compose.local.process import Process
from compose.local.shopper import Shopper
from compose.local.stack import Stack
from tests.bench import flows
from tests.bench.bare.system import SANDBOX, BareSystem
from tests.bench.goods import OPENING_STOCK, PRODUCTS
from tests.bench.loads import BARE, FLOOR, OURS, PLACE_ORDER, THREE_STEPS, WITH_PEERS, Load, Results
from tests.bench.measure import Run, run_client
from tests.bench.peers.home import Home
from tests.bench.peers.system import PeerSystem
from tests.bench.report import last_line, ratios, table

WARM_UP_SHARE = 0.15
RATE_SECONDS = 15.0
Measured = dict[str, Results]


def main(argv: list[str]) -> int:
    options = parse(argv)
    console = Console(highlight=False)
    stack = Stack(
        "servers",
        var=var_folder() / "bench",
        settings={"LOG_FORMAT": "json"},
        with_webhooks=False,  # the bare chain could do nothing with them
        environ=without_servers(os.environ),
    )
    if not options.flows:
        for service in SERVICES:
            stack.settings_of[service] = {"TASK_MODULES": f"tests.bench.three.{service}"}
    try:
        if options.peers:
            Home(stack.var / "peers").find_or_install(console)
        stack.delete_data()
        if options.flows:
            return flows.compare(stack, console, options)
        with console.status("Starting PostgreSQL, RabbitMQ, the four services and the bare chain …"):
            bench = Bench(stack, start(stack), console)
        if options.peers:
            bench.peers.start()
        return bench.measure(options)
    except KeyboardInterrupt:
        return 130
    except LocalError as error:
        console.print(f"[red]{type(error).__name__}[/red]: ", end="")
        console.print(str(error), markup=False)
        return 1
    finally:
        stack.stop()


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py bench", description=__doc__)
    parser.add_argument("--orders", type=int, default=3000, help="of three steps, in each run")
    parser.add_argument("--rounds", type=int, default=3, help="of all sides in turn; medians are shown")
    parser.add_argument("--peers", action="store_true", help="measure DBOS and Restate too; installs them")
    parser.add_argument("--flows", action="store_true", help="compare both flows of an order instead")
    return parser.parse_args(argv)


def start(stack: Stack) -> BareSystem:
    stack.start()
    Shopper(stack).stock_shelves(PRODUCTS, OPENING_STOCK)
    for service in SERVICES:
        stack.supervisor.run(
            Process(
                name=f"{service}-tables",
                argv=[sys.executable, "-m", "tests.bench.three.prepare", service],
                env=stack.environment,
                cwd=ROOT,
            )
        )
    bare = BareSystem(stack)
    bare.start()
    return bare


class Bench:
    """Everything that runs, and who is measured."""

    def __init__(self, stack: Stack, bare: BareSystem, console: Console) -> None:
        self.stack, self.bare, self.console = stack, bare, console
        self.peers = PeerSystem(stack, bare.environment)

    def measure(self, options: argparse.Namespace) -> int:
        found: dict[str, Measured] = {}
        for load in (WITH_PEERS if options.peers else THREE_STEPS, PLACE_ORDER):
            with progress_bars(self.console) as progress:
                found[load.title] = self.measured(load, options, progress)
            self.console.print(table(load, found[load.title]))
            self.console.print(ratios(found[load.title]))
        violations = audit(self.stack)
        result = self.stack.var / "result.json"
        write(result, found, violations)
        self.console.print(f"All runs are in {result}.")
        print(last_line(found[THREE_STEPS.title], THREE_STEPS.rates[0]), flush=True)
        return 1 if violations else 0

    def measured(self, load: Load, options: argparse.Namespace, progress: Progress) -> Measured:
        found: Measured = {name: Results() for name in load.sides}
        orders = int(options.orders * load.share)
        for name in load.sides:
            self.run(load, name, progress, "warm-up", int(orders * WARM_UP_SHARE))
        for number in range(1, options.rounds + 1):
            for name in load.sides:
                run = self.run(load, name, progress, f"round {number}", orders)
                found[name].full_speed.append(run)
            if load.refused_share:
                title = f"round {number}, {load.refused_share:.0%} refused"
                run = self.run(load, OURS, progress, title, orders, refused_share=load.refused_share)
                found[OURS].refused.append(run)
        for rate in load.rates:
            for name in load.sides:
                count = int(rate * RATE_SECONDS)
                found[name].at_rate[rate] = self.run(load, name, progress, f"{rate:g}/s", count, rate=rate)
        return found

    def run(
        self, load: Load, name: str, progress: Progress, title: str, orders: int,
        *, rate: float = 0.0, refused_share: float = 0.0,
    ) -> Run:  # fmt: skip
        bar = progress.add_task(f"{title}, {name}", total=orders)
        with nullcontext() if name == OURS else relays_stand(self.stack), self.peers.at_work(name):
            return run_client(
                load.sides[name],
                orders=orders,
                rate=rate,
                refused_share=refused_share,
                environment=self.environment(name),
                parts=self.parts(name) | server_pids(self.stack),
                python=self.peers.python if name in self.peers.parts_of else sys.executable,
                progress=lambda ended: progress.update(bar, completed=ended),
            )

    def environment(self, name: str) -> dict[str, str]:
        if name == OURS:
            return dict(self.stack.environment)
        return dict(self.peers.environment if name in self.peers.parts_of else self.bare.environment)

    def parts(self, name: str) -> dict[str, int]:
        """The leading process of everything that works for a side, less the servers."""
        supervisor = self.stack.supervisor
        names = {
            OURS: [*(f"{service}-{part}" for service in SERVICES for part in ("worker", "relay")), "sandbox"],
            BARE: [*self.bare.worker_names, SANDBOX],
            FLOOR: [],
            **self.peers.parts_of,
        }[name]
        return {name.removeprefix("bare-"): supervisor[name].pid for name in names}


@contextmanager
def relays_stand(stack: Stack) -> Iterator[None]:
    """Our relays look for work all the time; the others shall not pay for that."""
    relays = [f"{service}-relay" for service in SERVICES]
    for name in relays:
        stack.supervisor.kill(name, signal.SIGSTOP)
    try:
        yield
    finally:
        for name in relays:
            stack.supervisor.kill(name, signal.SIGCONT)


def server_pids(stack: Stack) -> dict[str, int]:
    assert stack.postgres is not None
    assert stack.rabbitmq is not None
    return {"PostgreSQL": stack.postgres.process.pid, "RabbitMQ": stack.rabbitmq.process.pid}


def write(path: Path, found: dict[str, Measured], violations: int) -> None:
    loads = {title: {name: asdict(r) for name, r in sides.items()} for title, sides in found.items()}
    path.write_text(json.dumps({"loads": loads, "violations": violations}, indent=1) + "\n")
