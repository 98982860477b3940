"""The process that places a run's orders and watches them end: `python -m tests.bench.client SIDE --orders N`.

It writes one JSON object a line: `{"ended": n}` while it runs, and last what the order rows say.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any, cast
from uuid import UUID

PLACED_BY = {"ours": "tests.bench.ours", "bare": "tests.bench.bare.order"}
LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 120.0


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.client")
    parser.add_argument("side", choices=PLACED_BY)
    parser.add_argument("--orders", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0.0, help="orders a second; 0: as fast as it goes")
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args(argv)

    os.environ["DJANGO_SETTINGS_MODULE"] = "order_project.config.settings"
    importlib.import_module("django").setup()
    place = importlib.import_module(PLACED_BY[options.side]).place
    tell(run(place, options))
    return 0


def run(place: Callable[..., UUID], options: argparse.Namespace) -> dict[str, Any]:
    """Place the orders and wait for their ends.

    Raises:
        TimeoutError: orders do not move.
    """
    from order_project.models import Customer, Order
    from tests.bench.goods import baskets

    customer = Customer.objects.create(name=f"bench of {options.side}")
    orders = Order.objects.filter(customer=customer)
    cpu = time.process_time()
    with ThreadPoolExecutor(options.threads) as pool:
        placed: list[Future[UUID]] = []
        start = time.monotonic()
        for number, lines in enumerate(baskets(options.orders)):
            if options.rate:
                time.sleep(max(0.0, start + number / options.rate - time.monotonic()))
            placed.append(pool.submit(place, customer=customer.pk, lines=lines))
        wait_for_ends(placed, lambda: orders.filter(ended_at__isnull=False).count())
    cpu = time.process_time() - cpu
    # All have ended, so none has an empty `ended_at`.
    times = cast("list[tuple[datetime, datetime]]", list(orders.values_list("created_at", "ended_at")))
    return {
        "seconds": (max(end for _, end in times) - min(start for start, _ in times)).total_seconds(),
        "latencies": [(end - start).total_seconds() for start, end in times],
        "statuses": Counter(orders.values_list("status", flat=True)),
        "placing_cpu_ms": 1000 * cpu,
    }


def wait_for_ends(placed: list[Future[UUID]], count: Callable[[], int]) -> None:
    best, since = -1, time.monotonic()
    while best < len(placed):
        for future in placed:
            if future.done():
                future.result()
        if (ended := count()) > best:
            best, since = ended, time.monotonic()
            tell({"ended": ended})
        if time.monotonic() - since > PATIENCE_SECONDS:
            raise TimeoutError(f"{len(placed) - best} orders have not moved for {PATIENCE_SECONDS:.0f} s")
        time.sleep(LOOK_SECONDS)  # rows are what is watched: they have no signal to wait on


def tell(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
