"""`./manage.py crash-matrix`: every operation dies at every point in every way, and every order comes out whole."""

from __future__ import annotations

import argparse
import itertools
import random
import re
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console

from celery_config import failpoints
from celery_config.failpoints import Failpoint
from celery_config.progress import progress_bars
from compose.local.errors import LocalError
from compose.local.stack import Stack
from tests.chaos.cases import CHOREOGRAPHED_ORDERS, Case, batches, every_case, is_choreographed, sample
from tests.chaos.client import CHOREOGRAPHED, FINE, FLOWS, KINDS, Client
from tests.chaos.keeper import Keeper
from tests.chaos.quiet import NotQuiet, audit, in_flight, run, wait_until_quiet
from tests.chaos.victim import STANDS_SECONDS, failpoints_of, running

QUICK_CASES = 64
AT_ONCE = 4
MOST_IN_FLIGHT = 24
FIRING_SECONDS = 60.0
QUIET_SECONDS = 120.0
LOOK_SECONDS = 0.2
MAKE_DUE = {
    duty: f"""
        UPDATE {table} SET due_at = (SELECT now FROM saga_sagaclock) - interval '1 second'
        WHERE status IN ('running', 'stopping', 'forward')
    """
    for duty, table in (("watchdog", "saga_sagainstance"), (CHOREOGRAPHED_ORDERS, "order_choreography"))
}


def main(argv: list[str]) -> int:
    options = parse(argv)
    console = Console(highlight=False)
    cases = sample(QUICK_CASES, options.seed) if options.quick else every_case()
    if options.only:
        cases = [case for case in every_case() if re.search(options.only, str(case))]
    try:
        with (
            running("crash-matrix", console) as stack,
            Matrix(stack, failpoints_of(stack.var), random.Random(options.seed)) as matrix,
        ):
            violations = matrix.try_all(cases, console)
    except LocalError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    for violation in violations:
        console.print(violation, style="red", markup=False)
    print(f"crash matrix: {len(cases)} cases, {len(violations)} violations", flush=True)
    return 1 if violations else 0


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py crash-matrix", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_CASES} of the cases, drawn with the seed"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="the cases whose names match this pattern")
    return parser.parse_args(argv)


class Matrix:
    """One stack on which the cases are tried, some of them together."""

    def __init__(self, stack: Stack, folder: Path, chance: random.Random) -> None:
        self.stack = stack
        self.folder = folder
        self.prices = itertools.count(1000)
        failpoints.disarm(folder)
        self.client = Client(stack, chance)
        self.client.stock_shelves()
        self.keeper = Keeper(stack, folder / "fired", STANDS_SECONDS)

    def __enter__(self) -> Matrix:
        self.keeper.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.keeper.over.set()
        self.keeper.thread.join()
        self.client.close()

    def try_all(self, cases: Sequence[Case], console: Console) -> list[str]:
        """Try the cases and return every violation, with the cases that were tried together."""
        violations: list[str] = []
        self.settle()
        with progress_bars(console) as progress:
            bar = progress.add_task("crash matrix", total=len(cases))
            for batch in batches(cases, AT_ONCE):
                found = self.try_together(batch)
                if found:
                    violations += [f"{what}\n  after: {'; '.join(map(str, batch))}" for what in found]
                progress.advance(bar, len(batch))
        return violations

    def try_together(self, batch: Sequence[Case]) -> list[str]:
        names = {failpoints.arm(self.folder, as_failpoint(case)): case for case in batch}
        end = time.monotonic() + FIRING_SECONDS
        while (left := self.not_fired(names)) and time.monotonic() < end:
            # Orders in crowds would only keep the watchdog busy with those that wait for the dead.
            if in_flight(self.stack) < MOST_IN_FLIGHT:
                self.traffic(left)
            time.sleep(LOOK_SECONDS)
        failpoints.disarm(self.folder)
        return [f"never came there: {case}" for case in left] + self.settle()

    def not_fired(self, names: dict[str, Case]) -> list[Case]:
        return [case for name, case in names.items() if not (self.folder / "fired" / name).exists()]

    def traffic(self, wanted: Sequence[Case]) -> None:
        """An order of each kind, one that is cancelled, a change of the catalogue."""
        with ThreadPoolExecutor(8) as pool:
            done: list[Future[Any]] = [
                pool.submit(self.client.place, kind, flow) for kind in KINDS for flow in flows_of(wanted)
            ]
            done += [pool.submit(self.cancelled_order, flow) for flow in flows_of(wanted)]
            done.append(pool.submit(self.client.change_product, FINE, next(self.prices)))
            for duty, statement in MAKE_DUE.items():
                if any(case.operation == duty for case in wanted):
                    run(self.stack, statement)
            for each in done:
                each.result()

    def cancelled_order(self, flow: str) -> None:
        self.client.cancel(self.client.place("fine", flow))

    def settle(self) -> list[str]:
        """Wait for quiet and audit; return what is not as promised."""
        troubles = []
        try:
            wait_until_quiet(self.stack, QUIET_SECONDS)
        except NotQuiet as error:
            troubles.append(str(error))
        troubles += audit(self.stack)
        more, self.keeper.troubles = self.keeper.troubles, []
        return troubles + more


def flows_of(wanted: Sequence[Case]) -> list[str]:
    """The flows whose orders come by there; others would only be in the way."""
    choreographed = {is_choreographed(case) for case in wanted}
    return [flow for flow in FLOWS if (flow == CHOREOGRAPHED) in choreographed]


def as_failpoint(case: Case) -> Failpoint:
    return Failpoint(case.point, case.operation, case.way)
