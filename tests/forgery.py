"""`./manage.py forgery`: what one service's own credentials could send in another's name, tried on real servers."""

from __future__ import annotations

import argparse
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from compose.local import packages
from compose.local.environment import var_folder
from tests.attempts import Attempt
from tests.permissions import WIDTH, read_report
from tests.run import pytest, run

SUITES = ("test_forgery.py", "test_credentials.py", "test_audit_of_forgeries.py")


def main(argv: list[str]) -> int:
    argparse.ArgumentParser(prog="./manage.py forgery", description=__doc__).parse_args(argv)
    console = Console(highlight=False, width=WIDTH)
    packages.find_or_install(console)
    folder = var_folder() / "forgery"
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    files = [f"tests/acceptance/{name}" for name in SUITES]
    suite = replace(pytest("forgery", *files, "-n0", f"--junit-xml={report}"), logs=folder)
    result = run(suite, console)
    attempts = read_report(report)
    for suite in dict.fromkeys(each.suite for each in attempts):
        console.print(tabulate(suite, [each for each in attempts if each.suite == suite]))
    failed = result.count("failed") + result.count("error")
    print(f"forgery: {len(attempts)} forgeries, {failed} tests failed", flush=True)
    return 1 if result.code else 0


def tabulate(suite: str, attempts: list[Attempt]) -> Table:
    table = Table("with the credentials of", "forged", "result", title=suite)
    for each in attempts:
        table.add_row(each.who, each.what, each.result)
    return table
