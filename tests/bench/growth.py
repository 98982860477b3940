"""`./manage.py bench --growth`: the cost of an order and the rows that are read, by the number of finished orders."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import MARKDOWN
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from celery_config.common.console import progress_bars
from celery_config.common.services import SERVICES
from compose.local.environment import ROOT
from compose.local.errors import LocalError
from compose.local.shopper import Shopper
from compose.local.stack import Stack
from tests.bench.goods import ADDRESS, CURRENCY, OPENING_STOCK, PRODUCTS, TOKEN
from tests.bench.measure import Run, take_median
from tests.bench.past import Past, fill_pasts, make_pasts
from tests.bench.report import make_run_table, print_faults
from tests.bench.system import run_ours, warm_up
from tests.bench.three import audit

# Long enough that no copied row is deleted while the benchmark runs.
SETTINGS = {"EVENT_RETENTION_DAYS": "90"}
# How many real orders are copied: those that are measured, and those that the pages show.
THREE_STEPS, PLACE_ORDER = ("three-steps", 1000), ("place-order", 300)
SHARE_OF_PAGES = 0.1
MOST_ROWS = 10_000
"""How many rows one statement of a page, a sweep or the relay may read at most, whatever the table holds."""


def measure_growth(stack: Stack, console: Console, options: argparse.Namespace) -> int:
    """Measure at each number of finished orders, and at the first one again: this shows a machine that slows down."""
    growth = Growth(stack, options)
    first, last = options.growth[0], options.growth[-1]
    found: dict[int, list[Run]] = {size: [] for size in options.growth}
    asked: list[dict[str, Any]] = []
    with progress_bars(console) as progress:
        (three, _), (whole, _) = (make_pasts(stack, progress, *what) for what in (THREE_STEPS, PLACE_ORDER))
        for size in options.growth:
            found[size] += growth.run_rounds(three, size, progress)
            growth.write_results(found, asked)
        fill_pasts(whole, int(last * SHARE_OF_PAGES), progress)
        asked += growth.explain_questions(progress)
        found[first] += growth.run_rounds(three, first, progress)
    growth.write_results(found, asked)
    faults = [*audit.find_faults(stack.environment)]
    faults += [
        f"{each['what']} of {each['service']} reads {each['rows']:,} rows: {each['statement']}"
        for each in asked if each["rows"] > MOST_ROWS
    ]  # fmt: skip
    console.print(make_run_table("finished orders", {f"{n:,}": runs for n, runs in found.items()}))
    console.print(make_question_table(asked))
    print_faults(console, faults)
    print(format_last_line(found, len(faults)), flush=True)
    return 1 if faults else 0


class Growth:
    """A stack whose tables are filled with copies of finished orders."""

    def __init__(self, stack: Stack, options: argparse.Namespace) -> None:
        self.stack, self.options = stack, options
        shopper = Shopper(stack)
        shopper.stock_shelves(PRODUCTS, OPENING_STOCK)
        # When one order has ended, the order service has copied all products.
        order = shopper.place_when_known(
            {
                "lines": [{"sku": PRODUCTS[0]["sku"], "quantity": 1}],
                "currency": CURRENCY,
                "payment_token": TOKEN,
                "address": asdict(ADDRESS),
            }
        )
        shopper.wait_for_ends([order], patience=60)

    def run_rounds(self, pasts: Sequence[Past], size: int, progress: Progress) -> list[Run]:
        """Run the rounds with so many finished orders; the rounds add less than a tenth of them."""
        runs: list[Run] = []
        for number in range(self.options.rounds + 1):
            if number == 0 or size < 10 * self.options.rounds * self.options.orders:
                for past in pasts:
                    past.clear_tables()
                fill_pasts(pasts, size, progress)
            if number == 0:
                warm_up(self.stack, progress, self.options.orders)
            else:
                title = f"{size:,} finished, round {number}"
                runs.append(run_ours(self.stack, progress, title, self.options.orders))
        return runs

    def explain_questions(self, progress: Progress) -> list[dict[str, Any]]:
        """Return what the questions of each service read.

        Raises:
            LocalError: a question failed.
        """
        found = []
        for service in progress.track(SERVICES, description="pages, sweeps, relay"):
            done = subprocess.run(
                [sys.executable, "-m", "tests.bench.plans", service],
                cwd=ROOT, env=self.stack.environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                raise LocalError(f"the questions of {service} failed:\n{done.stderr}")
            found += [json.loads(line) for line in done.stdout.splitlines()]
        return found

    def write_results(self, found: Mapping[int, Sequence[Run]], asked: Sequence[dict[str, Any]]) -> None:
        runs = {size: [asdict(run) for run in runs] for size, runs in found.items()}
        result = self.stack.var / "growth.json"
        result.write_text(json.dumps({"runs": runs, "asked": asked}, indent=1) + "\n")


def make_question_table(asked: Sequence[dict[str, Any]], shown: int = 15) -> Table:
    """Show the questions whose statements read the most rows."""
    made = Table("service", "question", "rows read by one statement, at most", "ms of all", box=MARKDOWN)
    for each in sorted(asked, key=lambda each: -int(each["rows"]))[:shown]:
        made.add_row(each["service"], each["what"], f"{each['rows']:,}", f"{each['ms']:.1f}")
    return made


def format_last_line(found: Mapping[int, Sequence[Run]], faults: int) -> str:
    first, *_, last = found
    ratio = take_median(found[last]).cpu_total / take_median(found[first]).cpu_total
    return f"growth: {ratio:.2f} of the CPU a saga with {last:,} finished orders instead of {first:,}, {faults} faults"
