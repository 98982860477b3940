"""A new service and a new flow, made by two commands, run without another edit: done, refused, and audited."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from compose.local.environment import ROOT, without_servers
from tests.acceptance.shop import until

NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "var*", "__pycache__", ".*_cache", ".import_linter_cache"
)
HOTEL = "BookHotel/CancelHotel"
MADE = (
    "hotel_app", "celery_config/contracts/hotel.py", "tests/service/hotel", "order_project/sagas",
    "tests/service/order/sagas",
)  # fmt: skip
NAME_EVERY_SERVICE = (
    "tests/unit/compose/test_compose.py", "tests/unit/compose/test_generated.py", "tests/unit/docs/test_pages.py",
    "tests/unit/celery_config/broker/test_topology.py", "tests/unit/celery_config/contracts/test_contracts.py",
)  # fmt: skip
"""The tests that would miss something of a service that is not everywhere where it belongs."""


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository, in which commands make files."""

    folder: Path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "manage.py", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {**without_servers(os.environ), "ORDER_SAGA_VAR": str(self.folder / "var")}

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run `./manage.py …`; return what it prints."""
        return self.call(self.command(*arguments), code)

    def run_module(self, *arguments: str) -> str:
        """Run `python -m …`."""
        return self.call([sys.executable, "-m", *arguments], 0)

    def call(self, command: list[str], code: int) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == code, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout + done.stderr

    def read(self) -> dict[Path, bytes]:
        """Return each file that is no by-product of running Python."""
        files = (
            path for path in self.folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
        )
        return {path: path.read_bytes() for path in files if self.folder / "var" not in path.parents}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    folder = tmp_path_factory.mktemp("new") / "checkout"
    shutil.copytree(ROOT, folder, ignore=NOT_COPIED, symlinks=True)
    return Checkout(folder)


@pytest.fixture(scope="module")
def made(checkout: Checkout) -> Checkout:
    """The checkout with a service and a flow of it."""
    before = checkout.read()
    assert "2 to 20 small letters" in checkout.run("startservice", "2nd", code=1)
    assert "There is no command BookHotel" in checkout.run("startsaga", "stay", HOTEL, code=1)
    assert checkout.read() == before, "what is refused leaves nothing behind"
    checkout.run("startservice", "hotel")
    assert "Two services have the name hotel" in checkout.run("startservice", "hotel", code=1)
    checkout.run("startsaga", "stay", HOTEL)
    return checkout


@pytest.fixture
def up(made: Checkout) -> Iterator[Checkout]:
    """The whole system, with the new service."""
    with subprocess.Popen(
        made.command("up", "--quiet", "--no-flower"),
        cwd=made.folder, env=made.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        running = made.folder / "var" / "running.json"
        try:
            until(lambda: running.exists() or process.poll() is not None, "up is ready", patience=180)
            assert process.poll() is None, process.stdout and process.stdout.read()
            yield made
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


def test_what_they_make_passes_lint_checks_and_its_own_tests(made: Checkout) -> None:
    made.run("services")
    made.run("hotel", "check")
    made.run("hotel", "makemigrations", "--check", "--dry-run")
    made.run_module("ruff", "check", *MADE)
    made.run_module("ruff", "format", "--check", *MADE)
    made.run_module(
        "pytest", "-q", "tests/service/order/sagas/test_stay.py", "--ds=order_project.config.settings"
    )
    made.run_module("pytest", "-q", *NAME_EVERY_SERVICE)


def test_its_flow_ends_done_or_undone_and_the_audit_finds_nothing(up: Checkout) -> None:
    stays = {places: json.dumps({"order": str(uuid4()), "places": places}) for places in (2, 11)}
    for stay in stays.values():
        assert "is begun" in up.run("order", "begin", "stay", stay)
    for places, end in ((2, "completed"), (11, "compensated")):
        until(
            lambda places=places, end=end: f"it is {end}" in up.run("order", "begin", "stay", stays[places]),
            f"the stay of {places} is {end}",
        )
    assert re.search(r"audit: \d+ orders checked, 0 violations", up.run("order", "audit"))
    assert "hotel" in up.run("status")
