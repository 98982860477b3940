"""`demo` and `up` for a user who is not root, as most people run them; the other tests of a root run as root."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.checkout import USER, as_user, copy_checkout, needs_root
from tests.acceptance.shop import until
from tests.modes import find_open

pytestmark = needs_root


@dataclass(frozen=True)
class Home:
    """A folder of the user, with a checkout and its packages: the user may not be able to read ours."""

    folder: Path

    @property
    def var(self) -> Path:
        return self.folder / "checkout" / "var"

    def options(self) -> dict[str, Any]:
        plain = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder), "COLUMNS": "200"}
        return {"cwd": self.folder / "checkout", "env": plain, "text": True, **as_user()}

    def command(self, *arguments: str) -> list[str]:
        return [str(self.folder / "checkout" / ".venv" / "bin" / "python"), "manage.py", *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), capture_output=True, check=False, **self.options())


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    folder = Path(tempfile.mkdtemp(prefix="order-saga-user-"))
    try:
        copy_checkout(folder / "checkout")
        subprocess.run(["chown", "-R", f"{USER}:", str(folder)], check=True)
        yield Home(folder)
    finally:
        shutil.rmtree(folder)


def test_the_demo(home: Home) -> None:
    done = home.run("demo", "--orders", "8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"demo: 8 orders, \d completed, \d compensated, 0 parked, 0 violations\n\Z", done.stdout)
    assert_private(home)


def test_the_whole_stack(home: Home) -> None:
    with subprocess.Popen(home.command("up", "--quiet"), stdout=subprocess.PIPE, **home.options()) as up:
        assert up.stdout is not None
        try:
            until(lambda: (home.var / "running.json").exists() or up.poll() is not None, "up is ready")
            assert up.poll() is None, up.stdout.read()
            until(lambda: home.run("status").returncode == 0, "everything moves")
            assert_private(home)
        finally:
            up.send_signal(signal.SIGTERM)
            up.communicate(timeout=60)
    assert up.returncode == 0


def assert_private(home: Home) -> None:
    assert find_open(home.var) == []
    owner = pwd.getpwnam(USER).pw_uid
    assert {path.lstat().st_uid for path in home.var.rglob("*")} == {owner}
