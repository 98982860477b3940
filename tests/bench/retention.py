"""Whether what is forgotten keeps up with what is written, and whether the files stop growing."""

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
from tests.bench.past import Past, fill, keep, row
from tests.bench.report import show_faults
from tests.bench.system import relays_stand, run_ours, servers, working
from tests.bench.three import audit

PERIODS = 10
"""The steady load lasts so many times as long as anything is kept."""
GENERATIONS, GENERATION = 6, 100_000
# Of a saga three steps are forgotten, and at each of three participants the barrier row and the event.
ROWS = 9
FORGOTTEN = ("messaging_", "saga_sagastep")
SIZES = (
    "SELECT count(*), pg_table_size({name}::regclass), pg_indexes_size({name}::regclass) FROM public.{table}"
)
DEAD = "SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_user_tables WHERE schemaname = 'public'"
# A file may be larger than at the first rest by this: vacuum comes when it comes.
ALLOWED = 1.25


@dataclass(frozen=True)
class Size:
    """Of tables of one name in all databases, in bytes."""

    rows: int = 0
    table: int = 0
    indexes: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.rows + other.rows, self.table + other.table, self.indexes + other.indexes)

    def __str__(self) -> str:
        return f"{self.rows:,}: {self.table / 1e6:.1f} + {self.indexes / 1e6:.1f} MB"


Sizes = Mapping[str, Size]


@dataclass(frozen=True)
class Deleted:
    """Rows of finished orders deleted at once, and what that took; `cpu` in milliseconds by part."""

    rows: int
    seconds: float
    cpu: Mapping[str, float]
    sizes: Sizes
    """Before."""

    def __str__(self) -> str:
        relays = sum(ms for part, ms in self.cpu.items() if part.endswith("-relay"))
        return (
            f"{self.rows:,} rows in {self.seconds:.0f} s, {self.rows / self.seconds:,.0f} a second;"
            f" CPU for 1,000 rows: PostgreSQL {1000 * self.cpu['PostgreSQL'] / self.rows:.1f} ms,"
            f" relays {1000 * relays / self.rows:.1f} ms"
        )


def settings(seconds: int) -> dict[str, str]:
    """What lets the relays forget everything after a share of the run."""
    days = str(seconds / PERIODS / 86_400)
    return {"SAGA_RETENTION_DAYS": days, "EVENT_RETENTION_DAYS": days}


def measure(stack: Stack, console: Console, options: argparse.Namespace) -> int:
    """Steady load for many times as long as rows are kept; then generations that are past their horizon at once."""
    with progress_bars(console) as progress:
        pasts, written = keep(stack, progress, *THREE_STEPS)
        if forgotten_rows(pasts) != ROWS:
            raise LocalError(
                "rows of the first orders were forgotten before they were copied: make the run longer"
            )
        steady = under_load(stack, pasts, progress, options)
        generations = [deleted(stack, pasts, progress) for _ in range(GENERATIONS)]
    told = {
        "written": written_rows(pasts, written),
        "steady": [{name: str(size) for name, size in sizes.items()} for sizes in steady],
        "generations": [str(each) for each in generations],
        "files": [{name: str(size) for name, size in each.sizes.items()} for each in generations],
    }
    (stack.var / "retention.json").write_text(json.dumps(told, indent=1) + "\n")
    console.print(table("after periods", steady))
    console.print(table("filled, generation", [each.sizes for each in generations]))
    console.print(f"written at full speed: {told['written']}")
    for each in generations:
        console.print(f"forgotten: {each}")
    faults = [*audit.faults(stack.environment), *growing("under load", steady[PERIODS // 3 :])]
    faults += growing("filled again", [each.sizes for each in generations[GENERATIONS // 2 :]])
    show_faults(console, faults)
    print(
        f"retention: {generations[-1].rows / generations[-1].seconds:.0f} rows/s deleted, {len(faults)} faults"
    )
    return 1 if faults else 0


def under_load(
    stack: Stack, pasts: Sequence[Past], progress: Progress, options: argparse.Namespace
) -> list[Sizes]:
    """What the tables hold after each period."""
    seconds = options.retention / PERIODS
    found: list[Sizes] = []
    for number in range(1, PERIODS + 1):
        title = f"period {number} of {seconds:g} s"
        run_ours(stack, progress, title, int(options.rate * seconds), rate=options.rate)
        found.append(sizes_of(pasts))
    return found


def deleted(stack: Stack, pasts: Sequence[Past], progress: Progress) -> Deleted:
    """Put a generation into the past and let the relays forget it, then wait until its space is free again."""
    with relays_stand(stack):
        young = rows_in(sizes_of(pasts))
        fill(pasts, GENERATION, progress)
        sizes = sizes_of(pasts)
    before = left = rows_in(sizes)
    bar = progress.add_task("forgotten", total=before - young)
    meter, start = CpuMeter(working(stack) | servers(stack)), time.monotonic()
    while left > young:
        time.sleep(0.5)  # rows have no signal to wait on
        left = rows_in(sizes_of(pasts))
        progress.update(bar, completed=before - left)
    took = Deleted(before - left, time.monotonic() - start, meter.milliseconds(), sizes)
    bar = progress.add_task("vacuumed", total=len(pasts))
    for each in pasts:
        with each.connected() as connection:
            while row(connection, DEAD)[0] > GENERATION // 10:
                time.sleep(1.0)
        progress.advance(bar)
    return took


def sizes_of(pasts: Sequence[Past]) -> Sizes:
    """The tables whose rows are forgotten, by name, those of all databases together."""
    found: dict[str, Size] = {}
    for each in pasts:
        with each.connected() as connection:
            for name in each.statements:
                if name.startswith(FORGOTTEN):
                    asked = sql.SQL(SIZES).format(name=sql.Literal(name), table=sql.Identifier(name))
                    found[name] = found.get(name, Size()) + Size(*row(connection, asked))
    return found


def rows_in(sizes: Sizes) -> int:
    return sum(size.rows for size in sizes.values())


def growing(when: str, found: Sequence[Sizes]) -> list[str]:
    """The tables whose files are larger in the end than they were at first."""
    first, last = found[0], found[-1]
    return [
        f"{name} grows {when}: {first[name]} became {size}"
        for name, size in last.items()
        if size.table + size.indexes > ALLOWED * (first[name].table + first[name].indexes)
    ]


def written_rows(pasts: Sequence[Past], run: Run) -> str:
    """The rows that are forgotten one day, as fast as they are written."""
    return f"{run.per_second:.0f} sagas a second, {run.per_second * forgotten_rows(pasts):,.0f} rows"


def forgotten_rows(pasts: Sequence[Past]) -> float:
    """How many of those that an order leaves are forgotten one day."""
    return sum(count for each in pasts for name, count in each.rows.items() if name.startswith(FORGOTTEN))


def table(title: str, found: Sequence[Sizes]) -> Table:
    """Rows, and the size of table and indexes."""
    marks = sorted({quarter * (len(found) - 1) // 4 for quarter in range(5)})
    made = Table(title, *(str(mark + 1) for mark in marks), box=MARKDOWN)
    for name in found[0]:
        made.add_row(name, *(str(found[mark][name]) for mark in marks))
    return made
