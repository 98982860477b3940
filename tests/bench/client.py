"""The client process places the orders of a run and waits for them: `python -m tests.bench.client SIDE --orders N`.

It prints one JSON object a line: `{"ended": n}` while it runs, and last the times and statuses of the orders.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from celery_config.common import tracing
from tests.bench.service import set_up_django
from tests.bench.sides import PEERS, SIDES, Side, make_side

POLL_SECONDS = 0.2
STALL_SECONDS = 120.0


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.client")
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("--orders", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0.0, help="orders a second; 0 is full speed")
    parser.add_argument("--refused", type=float, default=0.0, help="the share of orders that are refused")
    parser.add_argument("--threads", type=int, default=16)
    options = parser.parse_args(argv)

    if options.side not in PEERS:
        set_up_django("order")
        tracing.start_tracing("order", "client")
    print_json(run(make_side(options.side), options))
    return 0


def run(side: Side, options: argparse.Namespace) -> dict[str, Any]:
    """Place the orders, wait for their ends and return the figures.

    Raises:
        TimeoutError: no order has ended for a long time.
    """
    cpu = time.process_time()
    with ThreadPoolExecutor(options.threads) as pool:
        placed: list[Future[None]] = []
        start = time.monotonic()
        for number, request in enumerate(side.make_requests(options.orders, options.refused)):
            if options.rate:
                time.sleep(max(0.0, start + number / options.rate - time.monotonic()))
            placed.append(pool.submit(place, side, request))
        wait_for_ends(placed, side.count_ended)
    cpu = time.process_time() - cpu
    times = side.read_times()
    return {
        "seconds": (max(end for _, end in times) - min(start for start, _ in times)).total_seconds(),
        "latencies": [(end - start).total_seconds() for start, end in times],
        "statuses": side.count_statuses(),
        "placing_cpu_ms": 1000 * cpu,
    }


def place(side: Side, request: Any) -> None:
    """Place an order within the span that its trace begins with: a web's request has one."""
    span = tracing.start_span("place", kind="SERVER")
    with tracing.let_present(span):
        side.place(request)
    tracing.end_span(span)


def wait_for_ends(placed: list[Future[None]], count: Callable[[], int]) -> None:
    best, since = -1, time.monotonic()
    while best < len(placed):
        for future in placed:
            if future.done():
                future.result()
        if (ended := count()) > best:
            best, since = ended, time.monotonic()
            print_json({"ended": ended})
        if time.monotonic() - since > STALL_SECONDS:
            raise TimeoutError(
                f"{len(placed) - best} orders have not ended, and none has for {STALL_SECONDS:.0f} s"
            )
        time.sleep(POLL_SECONDS)  # rows give no signal to wait for


def print_json(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
