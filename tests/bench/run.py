"""`./manage.py bench`: orders per second, latency and processor time on the real stack, against a bare Celery chain."""

from __future__ import annotations

import argparse
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from celery_config.progress import progress_bars
from celery_config.topology import SERVICES
from compose.local.demo import audit
from compose.local.environment import var_folder, without_servers
from compose.local.errors import LocalError
from compose.local.shopper import Shopper
from compose.local.stack import Stack
from tests.bench.bare.system import SANDBOX, BareSystem
from tests.bench.goods import OPENING_STOCK, PRODUCTS
from tests.bench.measure import Run, middle, run_client
from tests.bench.report import last_line, table

WARM_UP = 150
LOW_RATE = 5.0
LOW_RATE_SECONDS = 15.0


@dataclass
class Results:
    """The runs of one side: as fast as it goes, and at a low rate."""

    full_speed: list[Run] = field(default_factory=list)
    low_rate: list[Run] = field(default_factory=list)


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
    try:
        stack.delete_data()
        with console.status("Starting PostgreSQL, RabbitMQ, the four services and the bare chain …"):
            bare = start(stack)
        return measure(stack, bare, console, options)
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
    parser.add_argument("--orders", type=int, default=1000, help="in each run")
    parser.add_argument("--rounds", type=int, default=3, help="of both sides in turn; medians are shown")
    return parser.parse_args(argv)


def start(stack: Stack) -> BareSystem:
    stack.start()
    Shopper(stack).stock_shelves(PRODUCTS, OPENING_STOCK)
    bare = BareSystem(stack)
    bare.start()
    return bare


def measure(stack: Stack, bare: BareSystem, console: Console, options: argparse.Namespace) -> int:
    ours, theirs = Results(), Results()
    with progress_bars(console) as progress:
        run_ours(stack, progress, "warm-up", WARM_UP)
        run_bare(bare, progress, "warm-up of the bare chain", WARM_UP)
        for number in range(1, options.rounds + 1):
            ours.full_speed.append(run_ours(stack, progress, f"round {number}", options.orders))
            theirs.full_speed.append(run_bare(bare, progress, f"round {number}, bare chain", options.orders))
        slow = int(LOW_RATE * LOW_RATE_SECONDS)
        ours.low_rate.append(run_ours(stack, progress, f"{LOW_RATE:g} orders/s", slow, rate=LOW_RATE))
        theirs.low_rate.append(
            run_bare(bare, progress, f"{LOW_RATE:g} orders/s, bare chain", slow, rate=LOW_RATE)
        )
    sides = {"order saga": ours, "bare chain": theirs}
    console.print(table({name: (middle(r.full_speed), middle(r.low_rate)) for name, r in sides.items()}))
    violations = audit(stack)
    result = stack.var / "result.json"
    write(result, sides, violations)
    console.print(f"All runs are in {result}.")
    print(last_line(middle(ours.full_speed), middle(ours.low_rate), middle(theirs.full_speed)), flush=True)
    return 1 if violations else 0


def run_ours(stack: Stack, progress: Progress, title: str, orders: int, *, rate: float = 0.0) -> Run:
    names = [f"{service}-{part}" for service in SERVICES for part in ("web", "worker", "relay")]
    parts = {name: stack.supervisor[name].pid for name in (*names, "sandbox")}
    bar = progress.add_task(title, total=orders)
    return run_client(
        "ours",
        orders=orders,
        rate=rate,
        environment=stack.environment,
        parts={**parts, **server_pids(stack)},
        progress=lambda ended: progress.update(bar, completed=ended),
    )


def run_bare(bare: BareSystem, progress: Progress, title: str, orders: int, *, rate: float = 0.0) -> Run:
    supervisor = bare.stack.supervisor
    parts = {name.removeprefix("bare-"): supervisor[name].pid for name in (*bare.worker_names, SANDBOX)}
    bar = progress.add_task(title, total=orders)
    with relays_stand(bare.stack):
        return run_client(
            "bare",
            orders=orders,
            rate=rate,
            environment=bare.environment,
            parts={**parts, **server_pids(bare.stack)},
            progress=lambda ended: progress.update(bar, completed=ended),
        )


@contextmanager
def relays_stand(stack: Stack) -> Iterator[None]:
    """Our relays look for work all the time; the bare chain shall not pay for that."""
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


def write(path: Path, sides: dict[str, Results], violations: int) -> None:
    content = {"sides": {name: asdict(results) for name, results in sides.items()}, "violations": violations}
    path.write_text(json.dumps(content, indent=1) + "\n")
