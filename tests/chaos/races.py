"""`./manage.py races`: an order of either flow is cancelled, or grows too old, at any moment; it ends in one way."""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rich.console import Console

from celery_config.common.console import progress_bars
from compose.local.errors import LocalError
from tests.chaos.client import CHOREOGRAPHED, FLOWS, ORCHESTRATED, Client
from tests.chaos.quiet import LOOK_SECONDS, NotQuiet, audit, run, wait_until_quiet
from tests.chaos.victim import running

RACERS = 8
UNDISTURBED = 16
# A race that one side always wins proves nothing.
SHARE_WANTED = 0.1
QUIET_SECONDS = 120.0
TOO_OLD = """
    UPDATE {table} SET deadline_at = clock.now, due_at = clock.now FROM saga_sagaclock clock
    WHERE {order}::text = '{id}' AND status = 'running'
"""
CARRIED_BY = {
    ORCHESTRATED: ("saga_sagainstance", "subject"),
    CHOREOGRAPHED: ("order_choreography", "order_id"),
}


@dataclass(frozen=True)
class Race:
    """What was tried on one order, and the first answer to a cancel."""

    order: str
    by: str
    answer: int


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./manage.py races", description=__doc__)
    parser.add_argument("--orders", type=int, default=500)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(argv)
    console = Console(highlight=False)
    console.print(f"seed {options.seed}")
    try:
        with running("races", console) as stack:
            client = Client(stack, random.Random(options.seed))
            client.stock_shelves()
            with progress_bars(console) as progress, ThreadPoolExecutor(RACERS) as pool:
                bar = progress.add_task("races", total=options.orders)
                longest = max(pool.map(lambda _: seconds_of_an_order(client), range(UNDISTURBED)))
                console.print(f"disturbed at any moment of their first {longest:.2f} s")
                races = []
                for each in pool.map(lambda n: race(client, options.seed, n, longest), range(options.orders)):
                    races.append(each)
                    progress.advance(bar)
            wait_until_quiet(stack, QUIET_SECONDS)
            violations = [what for each in races if (what := fault_of(client, each))] + audit(stack)
            outcomes = Counter(f"{each.by}: {client.status(each.order)}" for each in races)
            client.close()
    except (LocalError, NotQuiet) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    console.print(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))
    weak = weaknesses(races, outcomes)
    for what in (*violations, *weak):
        console.print(what, style="red", markup=False)
    print(f"races: {len(races)} orders, {len(outcomes)} outcomes, {len(violations)} violations", flush=True)
    return 1 if violations or weak else 0


def seconds_of_an_order(client: Client) -> float:
    """How long one takes when nobody disturbs it."""
    began, order = time.monotonic(), client.place("fine")
    while client.status(order) != "confirmed":
        time.sleep(LOOK_SECONDS / 10)
    return time.monotonic() - began


def race(client: Client, seed: int, number: int, longest: float) -> Race:
    """Place an order and, at a moment of chance, cancel it or let its deadline pass."""
    chance = random.Random(f"{seed}/{number}")
    flow = chance.choice(FLOWS)
    order = client.place("fine", flow)
    time.sleep(chance.uniform(0, longest))
    if chance.random() < 0.5:
        return Race(order, "cancelled", client.cancel(order))
    table, column = CARRIED_BY[flow]
    run(client.stack, TOO_OLD.format(table=table, order=column, id=order))
    return Race(order, "too old", 0)


def weaknesses(races: list[Race], outcomes: Counter[str]) -> list[str]:
    """Why this run proves too little: one side hardly ever won."""
    tried = Counter(each.by for each in races)
    return [
        f"only {outcomes[f'{by}: {status}']} of {count} {by} ended {status}"
        for by, count in tried.items()
        for status in ("confirmed", "cancelled")
        if outcomes[f"{by}: {status}"] < SHARE_WANTED * count
    ]


def fault_of(client: Client, race: Race) -> str | None:
    """What is wrong with how it ended; whether money and stock agree, the audit says."""
    status, again = client.status(race.order), client.cancel(race.order)
    if status not in ("confirmed", "cancelled"):
        return f"{race.order} ended {status}"
    if again != (409 if status == "confirmed" else 202):
        return f"{race.order} is {status}, and a further cancel is answered {again}"
    if race.answer == 409 and status == "cancelled":
        return f"{race.order}: too late to cancel, said the answer, and yet it was cancelled"
    return None
