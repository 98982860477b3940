"""The process that places a run's orders and watches them end: `python -m tests.bench.client SIDE --orders N`.

It writes one JSON object a line: `{"ended": n}` while it runs, and last what the rows say.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from tests.bench.sides import PEERS, SIDES, Side, side

LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 120.0


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.client")
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("--orders", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0.0, help="orders a second; 0: as fast as it goes")
    parser.add_argument("--refused", type=float, default=0.0, help="the share that will be refused")
    parser.add_argument("--threads", type=int, default=16)
    options = parser.parse_args(argv)

    if options.side not in PEERS:
        os.environ["DJANGO_SETTINGS_MODULE"] = "order_project.config.settings"
        importlib.import_module("django").setup()
    tell(run(side(options.side), options))
    return 0


def run(placing: Side, options: argparse.Namespace) -> dict[str, Any]:
    """Place the orders and wait for their ends.

    Raises:
        TimeoutError: orders do not move.
    """
    cpu = time.process_time()
    with ThreadPoolExecutor(options.threads) as pool:
        placed: list[Future[None]] = []
        start = time.monotonic()
        for number, wanted in enumerate(placing.wanted(options.orders, options.refused)):
            if options.rate:
                time.sleep(max(0.0, start + number / options.rate - time.monotonic()))
            placed.append(pool.submit(placing.place, wanted))
        wait_for_ends(placed, placing.ended)
    cpu = time.process_time() - cpu
    times = placing.times()
    return {
        "seconds": (max(end for _, end in times) - min(start for start, _ in times)).total_seconds(),
        "latencies": [(end - start).total_seconds() for start, end in times],
        "statuses": placing.statuses(),
        "placing_cpu_ms": 1000 * cpu,
    }


def wait_for_ends(placed: list[Future[None]], count: Callable[[], int]) -> None:
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
