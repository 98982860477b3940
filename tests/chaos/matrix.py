"""`./manage.py crash-matrix`: each operation fails at each point in each way, and every order is still correct."""

from __future__ import annotations

import argparse
import itertools
import random
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path
from typing import Any

from rich.console import Console

from celery_config.common.arguments import parse_pattern
from celery_config.common.console import progress_bars
from celery_config.common.grouping import group_by
from compose.local.stack import Stack
from tests.chaos.cases import Case, Execution, draw_cases, list_cases, split_batches
from tests.chaos.client import CHOREOGRAPHED, FINE, KINDS, ORCHESTRATED, Client
from tests.chaos.failpoints import arm, disarm
from tests.chaos.quiet import count_in_flight, wait_and_find_violations
from tests.chaos.restarter import Restarter
from tests.chaos.situations import SituationMaker
from tests.chaos.system import STOP_SECONDS, choose_version, find_failpoints, start_system

QUICK_CASES = 96
AT_ONCE = 4
MOST_IN_FLIGHT = 24
FIRING_SECONDS = 60.0
QUIET_SECONDS = 120.0
POLL_SECONDS = 0.2
VERSIONS = {Execution.OVER_BROKER: 1, Execution.OVER_REST: 3}


def main(argv: list[str]) -> int:
    options = parse_options(argv)
    console = Console(highlight=False)
    cases = draw_cases(QUICK_CASES, options.seed) if options.quick else options.only
    with (
        start_system("crash-matrix", console) as stack,
        Matrix(stack, find_failpoints(stack.var), random.Random(options.seed)) as matrix,
    ):
        violations = matrix.try_cases(cases, console)
    for violation in violations:
        console.print(violation, style="red", markup=False)
    print(f"crash matrix: {len(cases)} cases, {len(violations)} violations", flush=True)
    return 1 if violations else 0


def parse_options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py crash-matrix", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_CASES} of the cases, drawn with the seed"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only",
        type=parse_cases,
        default="",
        metavar="PATTERN",
        help="only the cases whose text matches this pattern",
    )
    return parser.parse_args(argv)


def parse_cases(text: str) -> list[Case]:
    """Return the cases that a pattern matches; without any, nothing would be tried and nothing found."""
    pattern = parse_pattern(text)
    if cases := [case for case in list_cases() if pattern.search(str(case))]:
        return cases
    raise argparse.ArgumentTypeError(f"no case matches {text!r:.100}")


class Matrix:
    """Tries the cases on one stack, some of them together."""

    def __init__(self, stack: Stack, folder: Path, chance: random.Random) -> None:
        self.stack = stack
        self.folder = folder
        self.prices = itertools.count(1000)
        self.flow = ORCHESTRATED
        self.silencers: dict[Case, str] = {}
        """The names of their failpoints, by the case that needs them."""
        disarm(folder)
        self.client = Client(stack, chance)
        self.client.stock_shelves()
        self.restarter = Restarter(stack, folder / "fired", STOP_SECONDS)

    def __enter__(self) -> Matrix:
        self.restarter.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.restarter.over.set()
        self.restarter.thread.join()
        self.client.close()

    def try_cases(self, cases: Sequence[Case], console: Console) -> list[str]:
        """Try the cases; return every violation with the cases that were tried together."""
        violations: list[str] = []
        self.wait_and_find_violations()
        with progress_bars(console) as progress:
            bar = progress.add_task("crash matrix", total=len(cases))
            for (execution, situation, silent), alike in group_by(attrgetter("group"), cases).items():
                self.choose_execution(execution)
                for batch in split_batches(alike, 1 if silent else AT_ONCE):
                    found = self.try_together(
                        batch, SituationMaker(self.stack, self.client, execution, situation)
                    )
                    if found:
                        violations += [f"{what}\n  after: {'; '.join(map(str, batch))}" for what in found]
                    progress.advance(bar, len(batch))
        return violations

    def choose_execution(self, execution: Execution) -> None:
        """Let new orders be carried out in this way; orchestrated orders need a version of the flow for it."""
        self.flow = CHOREOGRAPHED if execution is Execution.BY_EVENTS else ORCHESTRATED
        if version := VERSIONS.get(execution):
            choose_version(self.stack, version)
            self.stack.restart("order-web")

    def try_together(self, batch: Sequence[Case], situations: SituationMaker) -> list[str]:
        names = {arm(self.folder, case.failpoint): case for case in batch}
        end = time.monotonic() + FIRING_SECONDS
        while (left := self.find_unfired(names)) and time.monotonic() < end:
            # With more orders the watchdog would be busy with those that wait for a dead process.
            if count_in_flight(self.stack) < MOST_IN_FLIGHT:
                self.silence_participants(left)
                self.make_traffic(situations, left)
            time.sleep(POLL_SECONDS)
        disarm(self.folder)
        self.silencers.clear()
        return [f"no process reached this point: {case}" for case in left] + self.wait_and_find_violations()

    def find_unfired(self, names: dict[str, Case]) -> list[Case]:
        return [case for name, case in names.items() if not self.has_fired(name)]

    def has_fired(self, name: str) -> bool:
        return (self.folder / "fired" / name).exists()

    def silence_participants(self, wanted: Sequence[Case]) -> None:
        """Arm a failpoint that silences a participant, for each case that needs an open circuit."""
        for case in wanted:
            armed = self.silencers.get(case)
            if case.silencer and (armed is None or self.has_fired(armed)):
                self.silencers[case] = arm(self.folder, case.silencer)

    def make_traffic(self, situations: SituationMaker, wanted: Sequence[Case]) -> None:
        """Place an order of each kind, cancel one, change a product, and arrange the situation that the cases need."""
        with ThreadPoolExecutor(9) as pool:
            done: list[Future[Any]] = [
                pool.submit(self.client.place_order, kind, self.flow) for kind in KINDS
            ]
            done.append(pool.submit(self.place_and_cancel))
            done.append(pool.submit(self.client.change_product, FINE, next(self.prices)))
            done.append(pool.submit(situations.arrange, wanted))
            for each in done:
                each.result()

    def place_and_cancel(self) -> None:
        self.client.cancel_order(self.client.place_order("fine", self.flow))

    def wait_and_find_violations(self) -> list[str]:
        violations, _ = wait_and_find_violations(self.stack, QUIET_SECONDS)
        failures, self.restarter.failures = self.restarter.failures, []
        return violations + failures
