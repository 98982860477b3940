"""`./manage.py bench --retention`: old rows are deleted as fast as rows are written, and the files stop growing."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql
from rich.box import MARKDOWN
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from celery_config.common.console import progress_bars
from compose.local.errors import LocalError
from compose.local.stack import Stack
from tests.bench.cpu import CpuMeter
from tests.bench.growth import THREE_STEPS
from tests.bench.measure import Run
from tests.bench.past import Past, fetch_row, fill_pasts, make_pasts
from tests.bench.report import print_faults
from tests.bench.system import find_servers, find_workers, pause_relays, run_ours
from tests.bench.three import audit

PERIODS = 10
"""The steady load lasts so many times as long as rows are kept."""
GENERATIONS, GENERATION = 6, 100_000
# The rows of a saga that are deleted: three steps of its log, a barrier row and an event at each of three participants.
ROWS = 9
EXPIRING = ("messaging_", "saga_sagastep")
SIZES = (
    "SELECT count(*), pg_table_size({name}::regclass), pg_indexes_size({name}::regclass) FROM public.{table}"
)
DEAD = "SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_user_tables WHERE schemaname = 'public'"
# By how much a file may grow: the time of a vacuum is not certain.
ALLOWED = 1.25


@dataclass(frozen=True)
class Size:
    """The size of the tables of one name in all databases, in bytes."""

    rows: int = 0
    table: int = 0
    indexes: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.rows + other.rows, self.table + other.table, self.indexes + other.indexes)

    def __str__(self) -> str:
        return f"{self.rows:,}: {self.table / 1e6:.1f} + {self.indexes / 1e6:.1f} MB"


Sizes = Mapping[str, Size]


@dataclass(frozen=True)
class Deletion:
    """A deletion of rows of finished orders, and what it took; `cpu` is in milliseconds by part."""

    rows: int
    seconds: float
    cpu: Mapping[str, float]
    sizes: Sizes
    """The sizes before it."""

    def __str__(self) -> str:
        relays = sum(ms for part, ms in self.cpu.items() if part.endswith("-relay"))
        return (
            f"{self.rows:,} rows in {self.seconds:.0f} s, {self.rows / self.seconds:,.0f} a second;"
            f" CPU for 1,000 rows: PostgreSQL {1000 * self.cpu['PostgreSQL'] / self.rows:.1f} ms,"
            f" relays {1000 * relays / self.rows:.1f} ms"
        )


def make_settings(seconds: int) -> dict[str, str]:
    """Return the settings with which the relays delete all expiring rows after a share of the run."""
    days = str(seconds / PERIODS / 86_400)
    return {"SAGA_RETENTION_DAYS": days, "EVENT_RETENTION_DAYS": days}


def measure_retention(stack: Stack, console: Console, options: argparse.Namespace) -> int:
    """Measure under steady load for ten times as long as rows are kept, then with generations that expire at once."""
    with progress_bars(console) as progress:
        pasts, written = make_pasts(stack, progress, *THREE_STEPS)
        if count_expiring_rows(pasts) != ROWS:
            raise LocalError(
                "rows of the first orders were deleted before they were copied: make the run longer"
            )
        steady = run_steady_load(stack, pasts, progress, options)
        generations = [delete_generation(stack, pasts, progress) for _ in range(GENERATIONS)]
    results = {
        "written": describe_written(pasts, written),
        "steady": [{name: str(size) for name, size in sizes.items()} for sizes in steady],
        "generations": [str(each) for each in generations],
        "files": [{name: str(size) for name, size in each.sizes.items()} for each in generations],
    }
    (stack.var / "retention.json").write_text(json.dumps(results, indent=1) + "\n")
    console.print(make_table("after periods", steady))
    console.print(make_table("filled, generation", [each.sizes for each in generations]))
    console.print(f"written at full speed: {results['written']}")
    for each in generations:
        console.print(f"deleted: {each}")
    faults = [*audit.find_faults(stack.environment), *find_growth("under load", steady[PERIODS // 3 :])]
    faults += find_growth("filled again", [each.sizes for each in generations[GENERATIONS // 2 :]])
    print_faults(console, faults)
    print(
        f"retention: {generations[-1].rows / generations[-1].seconds:.0f} rows/s deleted, {len(faults)} faults"
    )
    return 1 if faults else 0


def run_steady_load(
    stack: Stack, pasts: Sequence[Past], progress: Progress, options: argparse.Namespace
) -> list[Sizes]:
    """Place orders at the rate; return the sizes of the tables after each period."""
    seconds = options.retention / PERIODS
    found: list[Sizes] = []
    for number in range(1, PERIODS + 1):
        title = f"period {number} of {seconds:g} s"
        run_ours(stack, progress, title, int(options.rate * seconds), rate=options.rate)
        found.append(read_sizes(pasts))
    return found


def delete_generation(stack: Stack, pasts: Sequence[Past], progress: Progress) -> Deletion:
    """Add a generation of old orders, let the relays delete it, then wait until its space is free again."""
    with pause_relays(stack):
        young = count_rows(read_sizes(pasts))
        fill_pasts(pasts, GENERATION, progress)
        sizes = read_sizes(pasts)
    before = left = count_rows(sizes)
    bar = progress.add_task("deleted", total=before - young)
    meter, start = CpuMeter(find_workers(stack) | find_servers(stack)), time.monotonic()
    while left > young:
        time.sleep(0.5)  # rows give no signal to wait for
        left = count_rows(read_sizes(pasts))
        progress.update(bar, completed=before - left)
    took = Deletion(before - left, time.monotonic() - start, meter.read_milliseconds(), sizes)
    bar = progress.add_task("vacuumed", total=len(pasts))
    for each in pasts:
        with each.connect() as connection:
            while fetch_row(connection, DEAD)[0] > GENERATION // 10:
                time.sleep(1.0)
        progress.advance(bar)
    return took


def read_sizes(pasts: Sequence[Past]) -> Sizes:
    """Return the sizes of the tables with expiring rows, by name, added up over all databases."""
    found: dict[str, Size] = {}
    for each in pasts:
        with each.connect() as connection:
            for name in each.statements:
                if name.startswith(EXPIRING):
                    query = sql.SQL(SIZES).format(name=sql.Literal(name), table=sql.Identifier(name))
                    found[name] = found.get(name, Size()) + Size(*fetch_row(connection, query))
    return found


def count_rows(sizes: Sizes) -> int:
    return sum(size.rows for size in sizes.values())


def find_growth(when: str, found: Sequence[Sizes]) -> list[str]:
    """Return the tables whose files are larger at the end than at the beginning."""
    first, last = found[0], found[-1]
    return [
        f"{name} grows {when}: {first[name]} became {size}"
        for name, size in last.items()
        if size.table + size.indexes > ALLOWED * (first[name].table + first[name].indexes)
    ]


def describe_written(pasts: Sequence[Past], run: Run) -> str:
    """Say how many rows that expire one day were written a second."""
    return f"{run.per_second:.0f} sagas a second, {run.per_second * count_expiring_rows(pasts):,.0f} rows"


def count_expiring_rows(pasts: Sequence[Past]) -> float:
    """Return how many rows of an order expire one day."""
    return sum(count for each in pasts for name, count in each.rows.items() if name.startswith(EXPIRING))


def make_table(title: str, found: Sequence[Sizes]) -> Table:
    """Show the rows and the sizes of tables and indexes."""
    marks = sorted({quarter * (len(found) - 1) // 4 for quarter in range(5)})
    made = Table(title, *(str(mark + 1) for mark in marks), box=MARKDOWN)
    for name in found[0]:
        made.add_row(name, *(str(found[mark][name]) for mark in marks))
    return made
