"""`./manage.py mutants`: plants each deliberately broken variant in a copy of the tree; its tests must then fail."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from celery_config.common.console import progress_bars
from compose.local import packages
from compose.local.environment import var_folder
from compose.local.postgres import PostgresServer
from tests.mutants.lane import Lane, Outcome
from tests.mutants.mutant import Mutant, Unplantable
from tests.mutants.variants import VARIANTS

LANES = 2
SHOWN_LINES = 40
PIPED_WIDTH = 240
Given = TypeVar("Given")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Verdict:
    """What became of one variant: `seen_by` names the test that failed, `wrong` says why it does not count."""

    mutant: Mutant
    seen_by: str
    wrong: str
    seconds: float
    output: str = ""


def main(argv: list[str]) -> int:
    chosen = parse(argv)
    # Piped into a file or a log, the name of a test must not be broken over lines.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    packages.find_or_install(console)
    var = var_folder() / "mutants"
    shutil.rmtree(var, ignore_errors=True)
    lanes = [Lane(var / f"lane-{n}", n) for n in range(LANES)]
    roles = [role for lane in lanes for role in lane.roles()]
    server = PostgresServer(var / "postgres", roles, for_tests=True, log=var / "postgres.log")
    server.start()
    try:
        for lane in lanes:
            lane.prepare(server)
        verdicts = judged(chosen, lanes, console)
    finally:
        server.stop()
        server.wipe()
    return tell(verdicts, console)


def parse(argv: list[str]) -> list[Mutant]:
    parser = argparse.ArgumentParser(prog="./manage.py mutants", description=__doc__)
    known = {mutant.name: mutant for mutant in VARIANTS}
    parser.add_argument(
        "--only", metavar="NAME", action="append", choices=known, help="this variant only; may be repeated"
    )
    names = parser.parse_args(argv).only
    return [known[name] for name in names] if names else list(VARIANTS)


def judged(mutants: Sequence[Mutant], lanes: Sequence[Lane], console: Console) -> list[Verdict]:
    """Run every selection as it is, then every variant, as many at once as there are lanes."""
    selections: dict[str, set[str]] = defaultdict(set)
    for mutant in mutants:
        selections[mutant.suite] |= set(mutant.selection)
    with progress_bars(console) as bars:
        sound = dict(side_by_side("unbroken", unbroken, sorted(selections.items()), lanes, bars))

        def judge_it(lane: Lane, mutant: Mutant) -> Verdict:
            return judge(lane, mutant, sound[mutant.suite])

        return side_by_side("broken", judge_it, mutants, lanes, bars)


def side_by_side(
    what: str,
    do: Callable[[Lane, Given], Result],
    given: Sequence[Given],
    lanes: Sequence[Lane],
    bars: Progress,
) -> list[Result]:
    """Do it with each of what is given, in whichever lane is free, and return the results in order."""
    bar = bars.add_task(what, total=len(given))
    free: SimpleQueue[Lane] = SimpleQueue()
    for lane in lanes:
        free.put(lane)

    def one(item: Given) -> Result:
        lane = free.get()
        try:
            return do(lane, item)
        finally:
            free.put(lane)
            bars.advance(bar)

    with ThreadPoolExecutor(len(lanes)) as pool:
        return list(pool.map(one, given))


def unbroken(lane: Lane, selection: tuple[str, set[str]]) -> tuple[str, Outcome]:
    """Run all that is selected of one suite without any fault: "caught" must not mean that it failed anyway."""
    suite, tests = selection
    return suite, lane.run(suite, sorted(tests))


def judge(lane: Lane, mutant: Mutant, sound: Outcome) -> Verdict:
    if not sound.passed:
        return Verdict(mutant, "", "its tests fail without it, too", 0.0, sound.output)
    began = time.monotonic()
    try:
        with lane.planted(mutant):
            outcome = lane.run(mutant.suite, mutant.selection)
    except Unplantable as fault:
        return Verdict(mutant, "", str(fault), 0.0)
    wrong = "" if outcome.failed else outcome.problem or "survived: all its tests pass"
    return Verdict(mutant, outcome.failed, wrong, time.monotonic() - began, outcome.output if wrong else "")


def tell(verdicts: Sequence[Verdict], console: Console) -> int:
    """Print what was wrong, the table and the last line; return the exit code."""
    outputs = {v.output: v for v in verdicts if v.output}
    for verdict in outputs.values():
        console.rule(verdict.mutant.name)
        console.print("\n".join(verdict.output.splitlines()[-SHOWN_LINES:]), markup=False)
    table = Table("variant", "what is broken", "caught by", "s")
    for v in verdicts:
        seen = f"[red]{escape(v.wrong)}[/red]" if v.wrong else escape(v.seen_by)
        table.add_row(v.mutant.name, f"{v.mutant.breaks} ({v.mutant.rule})", seen, f"{v.seconds:.1f}")
    console.print(table)
    caught = sum(not v.wrong for v in verdicts)
    print(f"mutants: {len(verdicts)} variants, {caught} caught", flush=True)
    return 0 if caught == len(verdicts) else 1
