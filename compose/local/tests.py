"""`./manage.py test`: every check and every test, on real servers it starts itself."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from celery_config.common.services import PACKAGES, PARTICIPANTS, SERVICES
from compose.local import packages
from compose.local.environment import ROOT, var_folder
from compose.local.postgres import PostgresServer

PYTHON = sys.executable
MODULE = (PYTHON, "-m")
PACKAGE_NAMES = ("celery_config", *PACKAGES, "compose")
COUNTS = re.compile(r"(\d+) (passed|failed|errors?|skipped)")
SHOWN_LINES = 60
GROUPS = ("checks", "unit", "service", "acceptance")
# The tests of messaging belong to no service and run with the settings of the one with the fewest tests.
MESSAGING_WITH = "shipment"


@dataclass(frozen=True)
class Suite:
    """One command; it passes when it exits 0."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    suite: Suite
    code: int
    seconds: float
    output: str

    def count(self, kind: str) -> int:
        """How many tests pytest says `passed`, `failed`, … in its last line."""
        last = self.output.strip().splitlines()[-1:] or [""]
        return sum(int(number) for number, word in COUNTS.findall(last[0]) if word.startswith(kind))


def main(argv: list[str]) -> int:
    options = parse(argv)
    console = Console(highlight=False)
    var = var_folder() / "tests"
    shutil.rmtree(var / "results", ignore_errors=True)
    packages.find_or_install(console)
    browser = packages.find_or_install_browser(console)
    groups = {
        "checks": lambda: side_by_side(checks(var), console),
        "unit": lambda: side_by_side([pytest("unit", "tests/unit", "-n", "2")], console),
        "service": lambda: service_tests(var, console),
        # Each of the two has a stack of its own: while one waits for a time-out, the other works.
        "acceptance": lambda: side_by_side(
            [
                pytest(
                    "acceptance",
                    *("tests/acceptance", "-n", "2", "--dist", "loadfile"),
                    env={"CHROMIUM": str(browser)},
                )
            ],
            console,
        ),
    }
    results = [result for name in options.only or groups for result in groups[name]()]
    console.print(table(results))
    failed = [r for r in results if r.code]
    passed = sum(r.count("passed") for r in results)
    broken = sum(r.count("failed") + r.count("error") or 1 for r in failed)
    print(f"{passed} passed, {broken} failed", flush=True)
    return 1 if failed else 0


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py test", description=__doc__)
    parser.add_argument(
        "only", nargs="*", help=f"these groups only: {', '.join(GROUPS)}; all when none is named"
    )
    options = parser.parse_args(argv)
    # argparse's own `choices` refuses that none is named.
    if unknown := set(options.only) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    return options


def checks(var: Path) -> list[Suite]:
    """What is checked without running the system."""
    paths = [*PACKAGE_NAMES, "tests", "docs", "manage.py"]
    found = [
        Suite("ruff", [*MODULE, "ruff", "check", *paths]),
        Suite("format", [*MODULE, "ruff", "format", "--check", *paths]),
        Suite("imports", [str(Path(PYTHON).with_name("lint-imports"))]),
        types(
            "order",
            "celery_config",
            "order_project",
            "compose",
            "tests/bench",
            "tests/chaos",
            "tests/mutants",
            "manage.py",
        ),
    ]
    found += [types(service, SERVICES[service].package) for service in PARTICIPANTS]
    for service in SERVICES:
        manage = [PYTHON, "manage.py", service]
        found.append(Suite(f"{service} migrations", [*manage, "makemigrations", "--check", "--dry-run"]))
        deploy = [*manage, "check", "--deploy", "--fail-level", "WARNING"]
        found.append(Suite(f"{service} deploy", deploy, env=production(service)))
        openapi = [*manage, "spectacular", "--fail-on-warn", "--file", os.devnull]
        found.append(Suite(f"{service} openapi", openapi))
    return [Suite(s.name, s.argv, {"ORDER_SAGA_VAR": str(var / "checks"), **s.env}) for s in found]


def types(service: str, *paths: str) -> Suite:
    """mypy with the settings of one service: its Django plugin knows one settings module a process."""
    argv = [*MODULE, "mypy", "--follow-imports=silent", f"--cache-dir=.mypy_cache/{service}", *paths]
    return Suite(f"{service} types", argv, {"DJANGO_SETTINGS_MODULE": SERVICES[service].settings_module})


def production(service: str) -> dict[str, str]:
    prefix = service.upper()
    return {
        "ENVIRONMENT": "production",
        f"{prefix}_DATABASE_URL": f"postgres://{service}:secret@db:5432/{service}",
        f"{prefix}_BROKER_URL": f"amqp://{service}:secret@broker:5672/order-saga",
        f"{prefix}_SECRET_KEY": "correct horse battery staple, and fifty letters more: 0123456789",
        f"{prefix}_SERVICE_TOKEN": "a-token-of-its-own",
        f"{prefix}_HOSTS": f"{service}.example.org",
        f"{prefix}_WEBHOOK_SECRET": "a-webhook-secret-of-its-own",
    }


def service_tests(var: Path, console: Console) -> list[Result]:
    """Each service's tests in a pytest process of its own, all on one private PostgreSQL."""
    server = PostgresServer(var / "postgres", SERVICES, for_tests=True, log=var / "postgres.log")
    server.wipe()
    server.start()
    try:
        longest_first = sorted(SERVICES, key=lambda service: service != MESSAGING_WITH)
        return side_by_side([service_suite(server, service) for service in longest_first], console)
    finally:
        server.stop()
        server.wipe()


def service_suite(server: PostgresServer, service: str) -> Suite:
    env = {f"{s.upper()}_DATABASE_URL": server.url(s) for s in SERVICES}
    folders = [f"tests/service/{service}"]
    if service == MESSAGING_WITH:
        folders.append("tests/service/messaging")
    return pytest(service, *folders, f"--ds={SERVICES[service].settings_module}", env=env)


def pytest(name: str, *args: str, env: Mapping[str, str] | None = None) -> Suite:
    return Suite(name, [*MODULE, "pytest", "-q", "--durations=5", *args], env or {})


def side_by_side(suites: Sequence[Suite], console: Console) -> list[Result]:
    """Run the suites, two at a time, and report each as it ends."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(lambda suite: run(suite, console), suites))


def run(suite: Suite, console: Console) -> Result:
    began = time.monotonic()
    done = subprocess.run(
        suite.argv,
        cwd=ROOT,
        env={**os.environ, **suite.env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    result = Result(suite, done.returncode, time.monotonic() - began, done.stdout)
    mark = "[green]ok[/green]" if result.code == 0 else "[red]FAILED[/red]"
    console.print(f"{mark}  {suite.name}  {result.seconds:.1f} s")
    if result.code:
        console.print("\n".join(result.output.splitlines()[-SHOWN_LINES:]), markup=False)
    return result


def table(results: Sequence[Result]) -> Table:
    shown = Table("suite", "result", "tests", "seconds")
    for result in results:
        outcome = "[red]failed[/red]" if result.code else "[green]passed[/green]"
        tests = result.count("passed") + result.count("failed")
        shown.add_row(result.suite.name, outcome, str(tests or ""), f"{result.seconds:.1f}")
    return shown
