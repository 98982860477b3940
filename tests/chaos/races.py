"""`./manage.py races`: orders of both flows are cancelled or pass their deadline at any moment; each has one end."""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rich.console import Console

from celery_config.common.arguments import parse_count
from celery_config.common.console import progress_bars
from tests.chaos.client import CHOREOGRAPHED, FLOWS, ORCHESTRATED, Client
from tests.chaos.quiet import POLL_SECONDS, find_violations, wait_until_quiet
from tests.chaos.system import execute, start_system

RACERS = 8
UNDISTURBED = 16
# If one side always wins, the races prove nothing.
SHARE_WANTED = 0.1
QUIET_SECONDS = 120.0
OVERDUE = """
    UPDATE {table} SET deadline_at = clock.now, due_at = clock.now FROM saga_sagaclock clock
    WHERE {order}::text = '{id}' AND status = 'running'
"""
TABLES = {
    ORCHESTRATED: ("saga_sagainstance", "subject"),
    CHOREOGRAPHED: ("order_choreography", "order_id"),
}


@dataclass(frozen=True)
class Race:
    """What was tried on one order, and the answer to the first cancel."""

    order: str
    by: str
    answer: int


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./manage.py races", description=__doc__)
    parser.add_argument("--orders", type=parse_count, default=500)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(argv)
    console = Console(highlight=False)
    console.print(f"seed {options.seed}")
    with start_system("races", console) as stack:
        client = Client(stack, random.Random(options.seed))
        client.stock_shelves()
        with progress_bars(console) as progress, ThreadPoolExecutor(RACERS) as pool:
            bar = progress.add_task("races", total=options.orders)
            longest = max(pool.map(lambda _: time_order(client), range(UNDISTURBED)))
            console.print(f"each is disturbed at a random moment of its first {longest:.2f} s")
            races = []
            for each in pool.map(
                lambda n: race_order(client, options.seed, n, longest), range(options.orders)
            ):
                races.append(each)
                progress.advance(bar)
        wait_until_quiet(stack, QUIET_SECONDS)
        violations = [what for each in races if (what := find_violation(client, each))]
        violations += find_violations(stack)
        outcomes = Counter(f"{each.by}: {client.read_status(each.order)}" for each in races)
        client.close()
    console.print(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))
    weak = find_weaknesses(races, outcomes)
    for what in (*violations, *weak):
        console.print(what, style="red", markup=False)
    print(f"races: {len(races)} orders, {len(outcomes)} outcomes, {len(violations)} violations", flush=True)
    return 1 if violations or weak else 0


def time_order(client: Client) -> float:
    """Return how many seconds an order takes that is not disturbed."""
    began, order = time.monotonic(), client.place_order("fine")
    while client.read_status(order) != "confirmed":
        time.sleep(POLL_SECONDS / 10)
    return time.monotonic() - began


def race_order(client: Client, seed: int, number: int, longest: float) -> Race:
    """Place an order and, at a random moment, cancel it or let its deadline pass."""
    chance = random.Random(f"{seed}/{number}")
    flow = chance.choice(FLOWS)
    order = client.place_order("fine", flow)
    time.sleep(chance.uniform(0, longest))
    if chance.random() < 0.5:
        return Race(order, "cancelled", client.cancel_order(order))
    table, column = TABLES[flow]
    execute(client.stack, "order", OVERDUE.format(table=table, order=column, id=order))
    return Race(order, "overdue", 0)


def find_weaknesses(races: list[Race], outcomes: Counter[str]) -> list[str]:
    """Return the reasons why this run proves too little: one side rarely won."""
    tried = Counter(each.by for each in races)
    return [
        f"only {outcomes[f'{by}: {status}']} of {count} {by} ended {status}"
        for by, count in tried.items()
        for status in ("confirmed", "cancelled")
        if outcomes[f"{by}: {status}"] < SHARE_WANTED * count
    ]


def find_violation(client: Client, race: Race) -> str | None:
    """Return what is wrong with its end, if anything; money and stock are a part of the audit."""
    status, again = client.read_status(race.order), client.cancel_order(race.order)
    if status not in ("confirmed", "cancelled"):
        return f"{race.order} ended {status}"
    if again != (409 if status == "confirmed" else 202):
        return f"{race.order} is {status}, and a further cancel is answered {again}"
    if race.answer == 409 and status == "cancelled":
        return f"{race.order}: the answer was that a cancel is too late, but the order was cancelled"
    return None
