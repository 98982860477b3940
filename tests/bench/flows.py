"""`./manage.py bench --flows`: the same orders by both flows, and orchestrated over both transports."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

import psycopg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from celery_config.common.console import progress_bars
from compose.local.demo import audit
from compose.local.shopper import Shopper
from compose.local.stack import Stack
from tests.bench.goods import OPENING_STOCK, PRODUCTS
from tests.bench.measure import Run, take_median
from tests.bench.system import find_all_parts, run_ours

SIDES = {
    "orchestrated": "place-order",
    "over REST": "place-order over REST",
    "choreographed": "place-order choreographed",
}
SHARE, WARM_UP_SHARE = 0.3, 0.15
RATE, RATE_SECONDS = 5.0, 15.0
ROUTED = re.compile(r"messages_routed_total\s*=>\s*(\d+)")
NOTE = (
    "Messages are those put into queues, an event once for each subscriber; commits are transactions that wrote. CPU of"
    " all processes, with the servers and the client. Medians of the rounds."
)


@dataclass(frozen=True)
class CountedRun:
    """One run, and for each order: messages that were put into queues, and transactions that wrote."""

    run: Run
    messages: float
    commits: float


class Counters:
    """Reads what the broker and the database have counted since they started."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def read(self) -> tuple[int, int]:
        """Return how many messages were put into queues, and how many transaction ids were used."""
        rabbit, postgres = self.stack.rabbitmq, self.stack.postgres
        assert rabbit is not None
        assert postgres is not None
        counters = rabbit.ctl("eval", "rabbit_global_counters:overview().")
        with psycopg.connect(postgres.superuser_url("order"), connect_timeout=5) as connection:
            row = connection.execute(
                "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
            ).fetchone()
        assert row is not None
        return sum(map(int, ROUTED.findall(counters))), int(row[0])


def compare_flows(stack: Stack, console: Console, options: argparse.Namespace) -> int:
    """Measure each flow in turn; return the exit code."""
    Shopper(stack).stock_shelves(PRODUCTS, OPENING_STOCK)
    orders, counters = int(options.orders * SHARE), Counters(stack)
    full: dict[str, list[CountedRun]] = {name: [] for name in SIDES}
    slow: dict[str, Run] = {}
    with progress_bars(console) as progress:
        for name in SIDES:
            measure_flow(stack, counters, name, progress, "warm-up", int(orders * WARM_UP_SHARE))
        for number in range(1, options.rounds + 1):
            for name in SIDES:
                full[name].append(measure_flow(stack, counters, name, progress, f"round {number}", orders))
        for name in SIDES:
            count = int(RATE * RATE_SECONDS)
            slow[name] = measure_flow(stack, counters, name, progress, f"{RATE:g}/s", count, rate=RATE).run
    console.print(make_table(full, slow))
    violations = audit(stack)
    result = stack.var / "flows.json"
    result.write_text(
        json.dumps({name: [asdict(each) for each in runs] for name, runs in full.items()}, indent=1)
    )
    console.print(f"All runs are in {result}.")
    print("flows: " + "; ".join(f"{name} {describe_runs(runs)}" for name, runs in full.items()), flush=True)
    return 1 if violations else 0


def measure_flow(
    stack: Stack,
    counters: Counters,
    name: str,
    progress: Progress,
    title: str,
    orders: int,
    rate: float = 0.0,
) -> CountedRun:
    messages, commits = counters.read()
    # The web servers of the participants take the commands over REST; that of the order service only waits.
    run = run_ours(
        stack,
        progress,
        f"{title}, {name}",
        orders,
        side=SIDES[name],
        rate=rate,
        parts=find_all_parts(stack),
    )
    messages_after, commits_after = counters.read()
    return CountedRun(run, (messages_after - messages) / orders, (commits_after - commits) / orders)


def make_table(full: dict[str, list[CountedRun]], slow: dict[str, Run]) -> Table:
    made = Table("", *full, title="place-order: the same orders, three ways", caption=NOTE)
    medians = {name: take_median([each.run for each in runs]) for name, runs in full.items()}
    made.add_row("orders/s, full speed", *(f"{run.per_second:.1f}" for run in medians.values()))
    made.add_row("CPU ms/order", *(f"{run.cpu_total:.1f}" for run in medians.values()), style="bold")
    made.add_row(
        "messages/order", *(f"{median(each.messages for each in runs):.1f}" for runs in full.values())
    )
    made.add_row("commits/order", *(f"{median(each.commits for each in runs):.1f}" for runs in full.values()))
    shown = (f"{run.p50:.0f} / {run.p99:.0f}" for run in slow.values())
    made.add_row(f"at {RATE:g}/s, accepted → ended, p50 / p99 ms", *shown)
    made.add_section()
    for part in next(iter(medians.values())).cpu:
        made.add_row(f"  {part}", *(f"{run.cpu[part]:.2f}" for run in medians.values()))
    return made


def describe_runs(runs: Sequence[CountedRun]) -> str:
    run = take_median([each.run for each in runs])
    messages, commits = (
        median(figures) for figures in zip(*((r.messages, r.commits) for r in runs), strict=True)
    )
    spent = f"{run.cpu_total:.1f} ms CPU, {messages:.1f} messages, {commits:.1f} commits an order"
    return f"{run.per_second:.1f}/s, {spent}"
