"""`./manage.py oversell`: many buyers order few units at once; exactly these units are sold, all else is undone."""

from __future__ import annotations

import argparse
import random
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console

from celery_config.common.arguments import parse_count
from celery_config.common.console import progress_bars
from compose.local.stack import Stack
from tests.chaos.client import Client
from tests.chaos.quiet import find_violations, wait_until_quiet
from tests.chaos.system import fetch_rows, start_system

# Version 2 reserves stock first: most orders are refused before a payment. With times of full length no order passes
# its deadline while it waits.
SETTINGS = {"PLACE_ORDER_VERSION": "2", "SAGA_TIME_SCALE": "1"}
AT_ONCE = 16
QUIET_SECONDS = 900.0
STATUSES = """
    SELECT o.status, count(*) FROM order_order o JOIN order_orderline l ON l.order_id = o.id
    WHERE l.sku = %s GROUP BY o.status
"""
LEFT = "SELECT on_hand, reserved FROM inventory_stock WHERE product_id = %s"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./manage.py oversell", description=__doc__)
    parser.add_argument("--rounds", type=parse_count, default=20)
    parser.add_argument("--buyers", type=parse_count, default=1000, help="orders in each round")
    parser.add_argument("--units", type=parse_count, default=100, help="units in stock in each round")
    options = parser.parse_args(argv)
    console = Console(highlight=False)
    violations: list[str] = []
    with start_system("oversell", console, SETTINGS) as stack:
        client = Client(stack, random.Random(1))
        with progress_bars(console) as progress:
            bar = progress.add_task("oversell", total=options.rounds)
            for number in range(options.rounds):
                violations += sell_out(stack, client, f"ROUND-{number + 1}", options.buyers, options.units)
                progress.advance(bar)
        violations += find_violations(stack)
        client.close()
    for what in violations:
        console.print(what, style="red", markup=False)
    print(
        f"oversell: {options.rounds} rounds of {options.buyers} buyers and {options.units} units,"
        f" {len(violations)} violations",
        flush=True,
    )
    return 1 if violations else 0


def sell_out(stack: Stack, client: Client, sku: str, buyers: int, units: int) -> list[str]:
    """Run one round; return the violations."""
    client.change_product(sku, 500)
    client.post_to_inventory("/api/stock/opening/", {"items": [{"sku": sku, "quantity": units}]})
    client.wait_until_known(sku)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: client.buy_product(sku), range(buyers)))
    wait_until_quiet(stack, QUIET_SECONDS)
    statuses = dict(fetch_rows(stack, "order", STATUSES, sku))
    left = fetch_rows(stack, "inventory", LEFT, sku)
    wanted = {"confirmed": min(units, buyers), "cancelled": max(0, buyers - units)}
    violations = [] if statuses == wanted else [f"{sku}: {statuses} instead of {wanted}"]
    return violations + ([] if left == [(max(0, units - buyers), 0)] else [f"{sku}: left over {left}"])
