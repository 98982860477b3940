"""`./manage.py bench-copies`: a copy of many rows is rebuilt while they change, then checked and repaired."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from celery_config.common.arguments import parse_count, parse_rate
from compose.local.environment import ROOT
from compose.local.errors import LocalError
from compose.local.stack import Stack
from tests.chaos.system import execute, start_system

KEEPER, SOURCE, COPY = "order", "inventory", "catalogue_product"
DAMAGED = 10
# As rows from a time before they were published: no trigger runs.
FILL = """
    SET session_replication_role = replica;
    INSERT INTO inventory_product (sku, name, price, currency, weight_grams, active, version)
    SELECT 'C' || lpad(n::text, 9, '0'), 'Product number ' || n, n, 'GBP', 20, true, 1
    FROM generate_series(0, {rows} - 1) AS n;
    RESET session_replication_role;
    ANALYZE inventory_product
"""
DAMAGE = """
    UPDATE order_catalogueproduct SET price = -1
    WHERE sku IN (SELECT sku FROM order_catalogueproduct WHERE NOT deleted ORDER BY md5(sku) LIMIT {rows})
"""
LINE = re.compile(r"(\d+) rows, (\d+) mended, (\d+) differ, (\d+) bytes exchanged")


@dataclass(frozen=True)
class SyncRun:
    """One run of `sync`."""

    what: str
    seconds: float
    megabytes: float
    """The largest resident memory."""
    rows: int
    mended: int
    differing: int
    exchanged: int


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./manage.py bench-copies", description=__doc__)
    parser.add_argument("--rows", type=parse_count, default=1_000_000)
    parser.add_argument("--rate", type=parse_rate, default=200.0, help="rows that change in a second")
    options = parser.parse_args(argv)
    console = Console(highlight=False)
    with start_system("bench-copies", console, {"SAGA_TIME_SCALE": "1"}) as stack:
        ran, web = measure_copies(stack, options, console)
    return print_report(ran, web, console)


def measure_copies(
    stack: Stack, options: argparse.Namespace, console: Console
) -> tuple[list[SyncRun], tuple[float, float]]:
    """Return each run of `sync`, and the memory of the source's web process before and after, in MB."""
    with console.status(f"filling {options.rows} products …"):
        execute(stack, SOURCE, FILL.format(rows=options.rows))
    web = psutil.Process(stack.supervisor[f"{SOURCE}-web"].pid)
    before = measure_memory(web)
    with run_changes(stack, options.rate):
        rebuilt = run_sync(stack, "rebuild under changes", "--rebuild")
        checked = run_sync(stack, "check under changes", "--check")
    quiet = run_sync(stack, "check", "--check")
    execute(stack, KEEPER, DAMAGE.format(rows=DAMAGED))
    found = run_sync(stack, f"check, {DAMAGED} rows damaged", "--check")
    mended = run_sync(stack, "repair", "--repair")
    return [rebuilt, checked, quiet, found, mended], (before, measure_memory(web))


@contextmanager
def run_changes(stack: Stack, rate: float) -> Iterator[None]:
    """Change rows of the source at this rate during the block."""
    options = ["--changes", "1000000000", "--rate", str(rate)]
    argv = [sys.executable, "-m", "tests.chaos.changes", SOURCE, *options]
    process = subprocess.Popen(argv, cwd=ROOT, env=stack.environment, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def measure_memory(web: psutil.Process) -> float:
    """Return the memory of a web process and its children, in MB."""
    return float(sum(each.memory_info().rss for each in (web, *web.children(recursive=True)))) / 1e6


def run_sync(stack: Stack, what: str, *options: str) -> SyncRun:
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        argv = [sys.executable, "manage.py", KEEPER, "sync", *options, "--copy", COPY]
        process = subprocess.Popen(
            argv, cwd=ROOT, env=stack.environment, stdout=out, stderr=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        out.seek(0)
        text = out.read()
    found = LINE.search(text)
    if found is None:
        raise LocalError(f"sync {options}: {text[-500:]}; the log is in {Path(stack.logs)}")
    return SyncRun(what, seconds, used.ru_maxrss / 1000, *map(int, found.groups()))


def print_report(ran: list[SyncRun], web: tuple[float, float], console: Console) -> int:
    table = Table("sync", "rows", "seconds", "MB at most", "mended", "differ", "kB exchanged")
    for each in ran:
        table.add_row(
            each.what, f"{each.rows:,}", f"{each.seconds:.1f}", f"{each.megabytes:.0f}", f"{each.mended:,}",
            f"{each.differing:,}", f"{each.exchanged / 1000:,.0f}",
        )  # fmt: skip
    console.print(table)
    console.print(f"the source's web: {web[0]:.0f} MB before, {web[1]:.0f} MB after")
    rebuilt, checked, quiet, found, mended = ran
    share = found.exchanged / rebuilt.exchanged
    print(
        f"bench-copies: {rebuilt.rows} rows rebuilt in {rebuilt.seconds:.0f} s, checked in {quiet.seconds:.0f} s;"
        f" {found.differing} differences found with {100 * share:.2f} % of the data",
        flush=True,
    )
    wrong = checked.differing or quiet.differing or mended.differing or found.differing != DAMAGED
    return 1 if wrong or share >= 0.01 else 0
