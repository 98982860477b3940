"""`./manage.py test`: every check and every test on private servers; each suite's full output is kept in a file."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from celery_config.common.service_calls import list_pairs, name_token
from celery_config.common.services import ORCHESTRATOR, PACKAGES, SERVICES
from compose.local import packages
from compose.local.environment import ROOT, var_folder
from compose.local.postgres import PostgresServer
from tests import browser, prometheus
from tests.drawing import draw_files, find_seed, list_files, read_durations
from tests.long_form import is_long

PYTHON = sys.executable
MODULE = (PYTHON, "-m")
OURS = ("celery_config", *PACKAGES, "compose", "tests", "docs", "manage.py")
# The order service's mypy run also checks what belongs to no service.
TYPED_WITH_ORDER = (
    "celery_config", "compose", "tests/bench", "tests/chaos", "tests/fuzz", "tests/mutants", "tests/run.py",
    "tests/schedules.py", "manage.py",
)  # fmt: skip
COUNTS = re.compile(r"(\d+) (passed|failed|errors?|skipped)")
SHOWN_LINES = 60
GROUPS = ("checks", "unit", "service", "acceptance")
SERVERLESS = {"checks", "unit"}
NOWHERE = "http://127.0.0.1:9"
"""No program listens at this port."""
NO_SERVICES = {
    f"{service.upper()}_URL": f"http://127.0.0.1:{port}" for port, service in enumerate(SERVICES, start=11)
}
"""A port for each service, at which no program listens: tests tell the services apart by them."""
SHARES = dict.fromkeys(SERVICES, 60) | {"acceptance": 700, "order": 330, "shipment": 200, "payment": 100}
"""Seconds of tests in the short form of a suite, on the machine of `tests/durations.json`. Two run at a time."""
ALWAYS = [
    f"tests/acceptance/test_{name}.py" for name in ("choreography", "status", "refusals", "cancellation")
]
"""The ways of an order, whatever else is drawn."""
# The tests of what all services share run with the settings of the service that has the fewest tests.
SHARED_WITH = "shipment"


@dataclass(frozen=True)
class Suite:
    """One command; it passes when it exits with 0."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    logs: Path | None = None
    """The folder of its log; by default that of all tests."""

    @property
    def log(self) -> Path:
        """The file of its full output."""
        return (self.logs or log_folder()) / f"{self.name.replace(' ', '-')}.log"


@dataclass(frozen=True)
class Result:
    suite: Suite
    code: int
    seconds: float
    output: str

    def count(self, kind: str) -> int:
        """Return how many tests `passed`, `failed`, …, by the last line of pytest."""
        last = self.output.strip().splitlines()[-1:] or [""]
        return sum(int(number) for number, word in COUNTS.findall(last[0]) if word.startswith(kind))


def main(argv: list[str]) -> int:
    options = parse(argv)
    console = Console(highlight=False)
    var = var_folder() / "tests"
    shutil.rmtree(log_folder(), ignore_errors=True)
    log_folder().mkdir(parents=True)
    console.print(f"Logs: {log_folder()}", soft_wrap=True)
    chosen = options.only or GROUPS
    seed = None if options.all or is_long() else find_seed()
    if seed and {*chosen} - SERVERLESS:
        console.print(f"Files are drawn by {seed}; --all tries all.")
    if {*chosen} - SERVERLESS:
        packages.find_or_install(console)
    chromium = browser.find_or_install_browser(console) if "acceptance" in chosen else None
    if "acceptance" in chosen:
        prometheus.find_or_install_promtool(console)
    groups = {
        "checks": lambda: side_by_side(checks(var), console),
        "unit": lambda: side_by_side([pytest("unit", "tests/unit", "-n", "2")], console),
        "service": lambda: service_tests(var, console, seed),
        # Each of the two pytest workers has its own stack: while one waits for a time-out, the other works.
        "acceptance": lambda: side_by_side(
            [
                pytest(
                    "acceptance",
                    *choose("acceptance", ["tests/acceptance"], seed, console),
                    *("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"),
                    env={"CHROMIUM": str(chromium)},
                )
            ],
            console,
        ),
    }
    results = [result for name in chosen for result in groups[name]()]
    console.print(tabulate(results))
    failed = [r for r in results if r.code]
    # A suite that is no run of pytest counts as one.
    passed = sum(r.count("passed") or int(r.code == 0) for r in results)
    broken = sum(r.count("failed") + r.count("error") or 1 for r in failed)
    print(f"{passed} passed, {broken} failed", flush=True)
    return 1 if failed else 0


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py test", description=__doc__)
    parser.add_argument(
        "only", nargs="*", help=f"these groups only: {', '.join(GROUPS)}; all when none is named"
    )
    parser.add_argument("--all", action="store_true", help="every file of each group, not only those drawn")
    options = parser.parse_args(argv)
    # argparse's own `choices` refuses that none is named.
    if unknown := set(options.only) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    return options


def checks(var: Path) -> list[Suite]:
    """Return the checks, which do not run the system."""
    found = [
        Suite("ruff", [*MODULE, "ruff", "check", *OURS]),
        Suite("format", [*MODULE, "ruff", "format", "--check", *OURS]),
        Suite("imports", [str(Path(PYTHON).with_name("lint-imports"))]),
    ]
    for service in SERVICES:
        found.append(types(service, *(TYPED_WITH_ORDER if service == ORCHESTRATOR else ())))
    for service in SERVICES:
        manage = [PYTHON, "manage.py", service]
        found.append(Suite(f"{service} migrations", [*manage, "makemigrations", "--check", "--dry-run"]))
        deploy = [*manage, "check", "--deploy", "--fail-level", "WARNING"]
        found.append(Suite(f"{service} deploy", deploy, env=production(service)))
        openapi = [*manage, "spectacular", "--fail-on-warn", "--file", os.devnull]
        found.append(Suite(f"{service} openapi", openapi))
    return [Suite(s.name, s.argv, {"ORDER_SAGA_VAR": str(var / "checks"), **s.env}) for s in found]


def types(service: str, *paths: str) -> Suite:
    """Return mypy's check of a service and of further paths; its Django plugin knows one settings module a process."""
    argv = [*MODULE, "mypy", "--follow-imports=silent", f"--cache-dir=.mypy_cache/{service}"]
    argv += [SERVICES[service].package, *paths]
    return Suite(f"{service} types", argv, {"DJANGO_SETTINGS_MODULE": SERVICES[service].settings_module})


def production(service: str) -> dict[str, str]:
    prefix = service.upper()
    return {
        "ENVIRONMENT": "production",
        f"{prefix}_DATABASE_URL": f"postgres://{service}:secret@db:5432/{service}",
        f"{prefix}_BROKER_URL": f"amqp://{service}:secret@broker:5672/order-saga",
        f"{prefix}_SECRET_KEY": "correct horse battery staple, and fifty letters more: 0123456789",
        **{name_token(pair): f"a-token-of-{'-to-'.join(pair)}" for pair in list_pairs(service)},
        **{f"{name.upper()}_MESSAGE_KEYS": f"a-key-of-{name}" for name in SERVICES},
        f"{prefix}_HOSTS": f"{service}.example.org",
        f"{prefix}_WEBHOOK_SECRET": "a-webhook-secret-of-its-own",
    }


def service_tests(var: Path, console: Console, seed: str | None) -> list[Result]:
    """Run each service's tests in its own pytest process, all on one private PostgreSQL.

    Args:
        seed: draws the files; None: all run.
    """
    folders = {service: [f"tests/service/{service}"] for service in SERVICES}
    folders[SHARED_WITH].append("tests/service/celery_config")
    with private_postgres(var) as server:
        longest_first = sorted(SERVICES, key=lambda service: -SHARES[service])
        suites = [
            service_suite(server, service, *choose(service, folders[service], seed, console))
            for service in longest_first
        ]
        return side_by_side(suites, console)


def choose(suite: str, folders: Sequence[str], seed: str | None, console: Console) -> Sequence[str]:
    """Return what a suite runs: the files that the seed draws, or the folders where there is none."""
    if seed is None:
        return folders
    files = list_files(*folders)
    drawn = draw_files(files, read_durations(), SHARES[suite], seed, ALWAYS)
    console.print(f"{suite}: {len(drawn)} of {len(files)} files")
    return drawn


@contextmanager
def private_postgres(var: Path) -> Iterator[PostgresServer]:
    """An empty server for tests, until the block ends."""
    server = PostgresServer(var / "postgres", [*SERVICES], for_tests=True, log=var / "postgres.log")
    server.wipe()
    server.start()
    try:
        yield server
    finally:
        server.stop()
        server.wipe()


def service_suite(server: PostgresServer, service: str, *args: str) -> Suite:
    """Return a run of pytest with a service's settings and databases; `args` are what to run, and options."""
    env = {f"{s.upper()}_DATABASE_URL": server.url(s) for s in SERVICES}
    # Else a test that starts no sandbox or service of its own asks those of a stack that is running on this machine.
    env |= {"SANDBOX_URL": NOWHERE, **NO_SERVICES}
    return pytest(service, *args, f"--ds={SERVICES[service].settings_module}", env=env)


def pytest(name: str, *args: str, env: Mapping[str, str] | None = None) -> Suite:
    report = f"--junit-xml={log_folder() / name}.xml"
    return Suite(name, [*MODULE, "pytest", "-q", "--durations=5", report, *args], env or {})


def side_by_side(suites: Sequence[Suite], console: Console) -> list[Result]:
    """Run the suites, two at a time, and report each as it ends."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(lambda suite: run(suite, console), suites))


def run(suite: Suite, console: Console) -> Result:
    began = time.monotonic()
    with suite.log.open("w") as log:
        done = subprocess.run(
            suite.argv,
            cwd=ROOT,
            env={**keep_compiled(os.environ), **suite.env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    output = suite.log.read_text(errors="replace")
    result = Result(suite, done.returncode, time.monotonic() - began, output)
    mark = "[red]FAILED[/red]" if result.code else "[green]ok[/green]"
    console.print(f"{mark}  {suite.name}  {result.seconds:.1f} s")
    if result.code:
        console.print("\n".join(output.splitlines()[-SHOWN_LINES:]), markup=False)
        console.print(f"All of it: {suite.log}", soft_wrap=True)
    return result


def keep_compiled(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment, but Python keeps what it compiles: hundreds of processes load the same modules."""
    return {name: value for name, value in environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def log_folder() -> Path:
    return var_folder() / "tests" / "log"


def tabulate(results: Sequence[Result]) -> Table:
    table = Table("suite", "result", "tests", "seconds")
    for result in results:
        outcome = "[red]failed[/red]" if result.code else "[green]passed[/green]"
        tests = result.count("passed") + result.count("failed")
        table.add_row(result.suite.name, outcome, str(tests or ""), f"{result.seconds:.1f}")
    return table
