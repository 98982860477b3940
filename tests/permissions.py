"""`./manage.py permissions`: every call, admin page and action, tried by everybody, against the table."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from celery_config.common.roles import Role
from celery_config.common.services import SERVICES
from compose.local import packages
from compose.local.environment import var_folder
from tests.attempts import GROUP, Attempt, read_attempts
from tests.run import Result, private_postgres, service_suite, side_by_side

WITHOUT = "staff without"
"""Begins the name of staff who lack one permission; a call may need several, and one column shows them all."""
COLUMNS = {
    "a user": "user", "a user with all permissions": "user, all", "staff with what is needed": "staff, needed",
    WITHOUT: "staff, one less", "staff with all permissions": "staff, all",
    **{f"{GROUP} {role}": str(role) for role in Role},
}  # fmt: skip
"""Short names, so that a row is one line."""
WIDTH = 240
"""Of the tables, in characters; a narrower terminal breaks the lines."""


def main(argv: list[str]) -> int:
    options = parse(argv)
    console = Console(highlight=False, width=WIDTH)
    packages.find_or_install(console)
    var = var_folder() / "permissions"
    var.mkdir(parents=True, exist_ok=True)
    with private_postgres(var) as server:
        reports = {service: var / f"{service}.xml" for service in options.only or SERVICES}
        for report in reports.values():
            report.unlink(missing_ok=True)
        suites = [
            service_suite(
                server, service, f"tests/service/{service}/test_permissions.py", f"--junit-xml={report}"
            )
            for service, report in reports.items()
        ]
        suites = [replace(suite, logs=var) for suite in suites]
        results = side_by_side(suites, console)
    return print_result(results, [each for path in reports.values() for each in read_report(path)], console)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py permissions", description=__doc__)
    parser.add_argument(
        "only", nargs="*", metavar="SERVICE", help=f"of these only: {', '.join(SERVICES)}; all by default"
    )
    options = parser.parse_args(argv)
    # argparse's own `choices` refuses that none is named.
    if unknown := set(options.only) - {*SERVICES}:
        parser.error(f"no such service: {', '.join(sorted(unknown))}")
    return options


def read_report(path: Path) -> list[Attempt]:
    """The attempts of a report; a run that could not begin wrote none."""
    return list(read_attempts(path)) if path.exists() else []


def print_result(results: Iterable[Result], attempts: list[Attempt], console: Console) -> int:
    """Print a table for each service's calls and pages, and the last line; return the exit code."""
    for suite in dict.fromkeys(each.suite for each in attempts):
        console.print(tabulate(suite, [each for each in attempts if each.suite == suite]))
    failed = [result.suite.name for result in results if result.code]
    print(f"permissions: {len(attempts)} attempts, {len(failed)} services differ from the table", flush=True)
    return 1 if failed else 0


def tabulate(suite: str, attempts: list[Attempt]) -> Table:
    """What everybody was answered: a row for each call, a column for each caller."""
    cells: dict[str, dict[str, list[str]]] = {}
    for each in attempts:
        who = WITHOUT if each.who.startswith(WITHOUT) else each.who.replace("token of ", "by ")
        answers = cells.setdefault(each.what, {}).setdefault(COLUMNS.get(who, who), [])
        if each.result not in answers:
            answers.append(each.result)
    callers = list(dict.fromkeys(who for row in cells.values() for who in row))
    table = Table(Column("what", no_wrap=True), *callers, title=suite, box=SIMPLE, padding=(0, 1, 0, 0))
    for what, row in cells.items():
        table.add_row(what, *(", ".join(row.get(who, [])) for who in callers))
    return table
