"""A copy of the tree with databases of its own, in which one broken variant at a time is tried."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from celery_config.common.services import SERVICES
from compose.local.environment import ROOT
from compose.local.postgres import PostgresServer
from tests.mutants.mutant import Mutant
from tests.run import SHARED_WITH

LONGEST_SECONDS = 300.0
SUMMARY = "short test summary info"
FAILED = re.compile(r"^(?:FAILED|ERROR) (?:tests/(?:service/)?)?(.+?)(?: - .*)?$", re.MULTILINE)
PYTEST = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=short")
PASSED, TESTS_FAILED = 0, 1


@dataclass(frozen=True)
class Outcome:
    """How a run of pytest ended: it passed, `failed` names the test that did not, or there is a `problem`."""

    passed: bool
    failed: str
    problem: str
    output: str


class Lane:
    """Where one variant at a time is tried.

    Args:
        folder: where the copy is made.
        number: tells the lanes' databases apart.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.tree = folder / "tree"
        self.number = number
        self.env: dict[str, str] = {}
        self.databases: set[str] = set()
        """The services whose test database is there, and clean."""

    def roles(self) -> list[str]:
        """The databases that this lane needs, each named like its role."""
        return [f"{service}_{self.number}" for service in SERVICES]

    def prepare(self, server: PostgresServer) -> None:
        """Copy the tree, what is not committed yet included."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.tree / name)
        self.env = {
            **os.environ,
            "ORDER_SAGA_VAR": str(self.folder / "var"),
            **{f"{s.upper()}_DATABASE_URL": server.url(f"{s}_{self.number}") for s in SERVICES},
        }

    @contextmanager
    def planted(self, mutant: Mutant) -> Iterator[None]:
        """The tree with the variant's fault in it.

        Raises:
            Unplantable: the code has changed.
        """
        path = self.tree / mutant.file
        sound, broken = path.read_text(encoding="utf-8"), mutant.planted_in(self.tree)
        try:
            write(path, broken)
            yield
        finally:
            write(path, sound)

    def run(self, suite: str, tests: Sequence[str]) -> Outcome:
        """Run these tests of a suite up to the first that fails."""
        argv = [sys.executable, *PYTEST, *tests]
        service = SHARED_WITH if suite == "shared" else suite
        if service in SERVICES:
            # The migrations are the same in every variant; a database is made again after a run that was cut off.
            argv += [f"--ds={SERVICES[service].settings_module}", "--reuse-db"]
            argv += [] if service in self.databases else ["--create-db"]
        self.databases.discard(service)
        process = subprocess.Popen(
            argv,
            cwd=self.tree,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return Outcome(False, "", f"did not end within {LONGEST_SECONDS:.0f} s", output)
        self.databases.add(service)
        first = FAILED.search(output.rpartition(SUMMARY)[2])
        if process.returncode == TESTS_FAILED and first:
            return Outcome(False, first[1], "", output)
        if process.returncode == PASSED:
            return Outcome(True, "", "", output)
        return Outcome(False, "", f"pytest could not run its tests: exit code {process.returncode}", output)


def write(path: Path, text: str) -> None:
    """Write a module and forget its bytecode: two writes in one second, of equal length, look the same to Python."""
    path.write_text(text, encoding="utf-8")
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
