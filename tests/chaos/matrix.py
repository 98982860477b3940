"""`./manage.py crash-matrix`: every operation dies at every point in every way, and every order comes out whole."""

from __future__ import annotations

import argparse
import itertools
import random
import re
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path
from typing import Any

from rich.console import Console

from celery_config.common.console import progress_bars
from celery_config.common.grouping import group_by
from celery_config.failpoints import arming
from compose.local.errors import LocalError
from compose.local.stack import Stack
from tests.chaos.cases import Carried, Case, batches, every_case, sample
from tests.chaos.client import CHOREOGRAPHED, FINE, KINDS, ORCHESTRATED, Client
from tests.chaos.keeper import Keeper
from tests.chaos.occasions import Occasions
from tests.chaos.quiet import NotQuiet, audit, in_flight, wait_until_quiet
from tests.chaos.victim import STANDS_SECONDS, choose_version, failpoints_of, running

QUICK_CASES = 96
AT_ONCE = 4
MOST_IN_FLIGHT = 24
FIRING_SECONDS = 60.0
QUIET_SECONDS = 120.0
LOOK_SECONDS = 0.2
VERSIONS = {Carried.OVER_BROKER: 1, Carried.OVER_REST: 3}


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
        self.flow = ORCHESTRATED
        self.silencers: dict[Case, str] = {}
        """Their failpoints' names, by the case that needs them."""
        arming.disarm(folder)
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
            for (carried, occasion, silent), alike in group_by(attrgetter("setting"), cases).items():
                self.let_orders_be(carried)
                for batch in batches(alike, 1 if silent else AT_ONCE):
                    found = self.try_together(batch, Occasions(self.stack, self.client, carried, occasion))
                    if found:
                        violations += [f"{what}\n  after: {'; '.join(map(str, batch))}" for what in found]
                    progress.advance(bar, len(batch))
        return violations

    def let_orders_be(self, carried: Carried) -> None:
        """Carried out so from now on; those that are not choreographed have their version of the flow for it."""
        self.flow = CHOREOGRAPHED if carried is Carried.BY_EVENTS else ORCHESTRATED
        if version := VERSIONS.get(carried):
            choose_version(self.stack, version)
            self.stack.restart("order-web")

    def try_together(self, batch: Sequence[Case], occasions: Occasions) -> list[str]:
        names = {arming.arm(self.folder, case.failpoint): case for case in batch}
        end = time.monotonic() + FIRING_SECONDS
        while (left := self.not_fired(names)) and time.monotonic() < end:
            # Orders in crowds would only keep the watchdog busy with those that wait for the dead.
            if in_flight(self.stack) < MOST_IN_FLIGHT:
                self.silence(left)
                self.traffic(occasions, left)
            time.sleep(LOOK_SECONDS)
        arming.disarm(self.folder)
        self.silencers.clear()
        return [f"never came there: {case}" for case in left] + self.settle()

    def not_fired(self, names: dict[str, Case]) -> list[Case]:
        return [case for name, case in names.items() if not self.has_fired(name)]

    def has_fired(self, name: str) -> bool:
        return (self.folder / "fired" / name).exists()

    def silence(self, wanted: Sequence[Case]) -> None:
        """Let those fall silent, one after the other, whose circuit is to be open."""
        for case in wanted:
            armed = self.silencers.get(case)
            if case.silencer and (armed is None or self.has_fired(armed)):
                self.silencers[case] = arming.arm(self.folder, case.silencer)

    def traffic(self, occasions: Occasions, wanted: Sequence[Case]) -> None:
        """An order of each kind, one that is cancelled, a change of the catalogue, and what the cases need besides."""
        with ThreadPoolExecutor(9) as pool:
            done: list[Future[Any]] = [pool.submit(self.client.place, kind, self.flow) for kind in KINDS]
            done.append(pool.submit(self.cancelled_order))
            done.append(pool.submit(self.client.change_product, FINE, next(self.prices)))
            done.append(pool.submit(occasions.arise, wanted))
            for each in done:
                each.result()

    def cancelled_order(self) -> None:
        self.client.cancel(self.client.place("fine", self.flow))

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
