"""`./manage.py oversell`: many buyers of few units at once; exactly the units are sold, the rest are made whole."""

from __future__ import annotations

import argparse
import random
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console

from celery_config.common.console import progress_bars
from compose.local.errors import LocalError
from compose.local.stack import Stack
from tests.chaos.client import Client
from tests.chaos.quiet import NotQuiet, ask, audit, wait_until_quiet
from tests.chaos.victim import running

# Stock first: most are refused before anybody is asked for money. With times at full length nobody in the queue grows
# too old.
SETTINGS = {"PLACE_ORDER_VERSION": "2", "SAGA_TIME_SCALE": "1"}
AT_ONCE = 16
QUIET_SECONDS = 900.0
ENDS = """
    SELECT o.status, count(*) FROM order_order o JOIN order_orderline l ON l.order_id = o.id
    WHERE l.sku = %s GROUP BY o.status
"""
LEFT = "SELECT on_hand, reserved FROM inventory_stock WHERE product_id = %s"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./manage.py oversell", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--buyers", type=int, default=1000, help="in each round")
    parser.add_argument("--units", type=int, default=100, help="of what is sold in each round")
    options = parser.parse_args(argv)
    console = Console(highlight=False)
    violations: list[str] = []
    try:
        with running("oversell", console, SETTINGS) as stack:
            client = Client(stack, random.Random(1))
            with progress_bars(console) as progress:
                bar = progress.add_task("oversell", total=options.rounds)
                for number in range(options.rounds):
                    violations += sell_out(
                        stack, client, f"ROUND-{number + 1}", options.buyers, options.units
                    )
                    progress.advance(bar)
            violations += audit(stack)
            client.close()
    except (LocalError, NotQuiet) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    for what in violations:
        console.print(what, style="red", markup=False)
    print(
        f"oversell: {options.rounds} rounds of {options.buyers} buyers and {options.units} units,"
        f" {len(violations)} violations",
        flush=True,
    )
    return 1 if violations else 0


def sell_out(stack: Stack, client: Client, sku: str, buyers: int, units: int) -> list[str]:
    """One round; return what is not as it should be."""
    client.change_product(sku, 500)
    client.in_inventory("/api/stock/opening/", {"items": [{"sku": sku, "quantity": units}]})
    client.wait_until_known(sku)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: client.buy(sku), range(buyers)))
    wait_until_quiet(stack, QUIET_SECONDS)
    ends, left = dict(ask(stack, "order", ENDS, sku)), ask(stack, "inventory", LEFT, sku)
    wanted = {"confirmed": min(units, buyers), "cancelled": max(0, buyers - units)}
    faults = [] if ends == wanted else [f"{sku}: {ends} instead of {wanted}"]
    return faults + ([] if left == [(max(0, units - buyers), 0)] else [f"{sku}: left over {left}"])
