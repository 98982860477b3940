"""`./manage.py verify`: the long form of every check, one after the other; goes on where it was stopped.

What passed is not run again while the checkout is at the same commit and unchanged. Each command's full output is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from compose.local.environment import ROOT, var_folder
from tests import long_form


@dataclass(frozen=True)
class Check:
    """A command of `./manage.py`, by a name of its own, and about how many minutes it takes on two cores."""

    name: str
    argv: tuple[str, ...]
    minutes: int


def worsen(mechanism: str, seed: int) -> tuple[str, ...]:
    """Chaos in which one mechanism never works."""
    return ("chaos", "--orders", "150", "--duration", "60", "--worse", mechanism, "--seed", str(seed))


# The cheapest come first. A line here is all that a further command needs.
CHECKS = (
    Check("schedules", ("schedules",), 1),
    Check("permissions", ("permissions",), 3),
    Check("forgery", ("forgery",), 5),
    Check("fuzz", ("fuzz",), 60),
    Check("races", ("races",), 4),
    # Its figures need a quiet machine; here it shows that the bench and its bare system still run.
    Check("bench", ("bench", "--orders", "300", "--rounds", "1"), 5),
    Check("pages", ("pages",), 40),
    Check("chaos-7", ("chaos", "--seed", "7"), 13),
    Check("chaos-8", ("chaos", "--seed", "8"), 13),
    Check("chaos-21", ("chaos", "--seed", "21"), 13),
    Check("chaos-errbacks", worsen("errbacks", 11), 4),
    Check("chaos-continuations", worsen("continuations", 12), 4),
    Check("chaos-broker", worsen("broker", 13), 4),
    Check("chaos-clock", worsen("clock", 14), 4),
    Check("chaos-copies", ("chaos-copies",), 10),
    Check("oversell", ("oversell",), 13),
    Check("mutants", ("mutants",), 30),
    Check("test", ("test",), 45),
    Check("crash-matrix", ("crash-matrix",), 70),
    Check("soak", ("bench", "--soak", "3600"), 125),
)


@dataclass(frozen=True)
class Outcome:
    """What came of a check: its exit code, how long it took, its last line, and the commit it was run at."""

    code: int
    seconds: float
    last_line: str
    commit: str


def main(argv: list[str]) -> int:
    options = parse(argv)
    chosen = [check for check in CHECKS if check.name in options.only or not options.only]
    console = Console(highlight=False)
    if options.list:
        console.print(tabulate_plan(chosen))
        return 0
    folder().mkdir(parents=True, exist_ok=True)
    commit = find_commit()
    outcomes: dict[str, Outcome] = {}
    try:
        for check in chosen:
            known = None if options.again or options.only else read_outcome(check)
            if known and known.code == 0 and known.commit == commit != "":
                outcomes[check.name] = known
            else:
                console.print(f"{check.name}: about {check.minutes} min; {find_log(check)}", soft_wrap=True)
                outcomes[check.name] = run(check, commit)
    finally:
        console.print(tabulate(chosen, outcomes))
    failed = [name for name, outcome in outcomes.items() if outcome.code]
    print(f"verify: {len(outcomes)} checks, {len(failed)} failed", flush=True)
    return 1 if failed else 0


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py verify", description=__doc__)
    names = [check.name for check in CHECKS]
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"these alone, again: {', '.join(names)}")
    parser.add_argument("--again", action="store_true", help="also what has passed at this commit")
    parser.add_argument("--list", action="store_true", help="only say what would run, and how long it takes")
    options = parser.parse_args(argv)
    # argparse's own `choices` refuses that none is named.
    if unknown := set(options.only) - {*names}:
        parser.error(f"no such check: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return options


def folder() -> Path:
    return var_folder() / "verify"


def find_log(check: Check) -> Path:
    """The file of its full output."""
    return folder() / f"{check.name}.log"


def find_commit() -> str:
    """The commit of the checkout; empty when it has changes, or is none: then nothing counts as known."""
    try:
        changes = ask_git("status", "--porcelain")
        return "" if changes else ask_git("rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return ""


def ask_git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def read_outcome(check: Check) -> Outcome | None:
    """What came of the check the last time, if that is known."""
    try:
        return Outcome(**json.loads((folder() / f"{check.name}.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def run(check: Check, commit: str) -> Outcome:
    """Run a check and keep what came of it; Ctrl-C reaches the command, too, which is waited for."""
    began = time.monotonic()
    with find_log(check).open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", *check.argv],
            cwd=ROOT,
            env={**os.environ, long_form.VARIABLE: "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.wait()
            raise
    lines = find_log(check).read_text(errors="replace").strip().splitlines()
    outcome = Outcome(code, time.monotonic() - began, lines[-1] if lines else "", commit)
    (folder() / f"{check.name}.json").write_text(json.dumps(asdict(outcome)))
    return outcome


def tabulate_plan(checks: Sequence[Check]) -> Table:
    table = Table("check", "command", "minutes")
    for check in checks:
        table.add_row(check.name, f"./manage.py {' '.join(check.argv)}", str(check.minutes))
    table.add_row("all", "", str(sum(check.minutes for check in checks)))
    return table


def tabulate(checks: Sequence[Check], outcomes: dict[str, Outcome]) -> Table:
    table = Table("check", "result", "minutes", "last line")
    for check in checks:
        outcome = outcomes.get(check.name)
        if outcome is None:
            table.add_row(check.name, "not run", "", "")
            continue
        result = f"[red]exit {outcome.code}[/red]" if outcome.code else "[green]passed[/green]"
        table.add_row(check.name, result, f"{outcome.seconds / 60:.1f}", escape(outcome.last_line))
    return table
