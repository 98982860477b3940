"""`demo` and `up` for a user who is not root, as most people run them; the other tests of a root run as root."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from celery_config.common.services import PACKAGES
from compose.local.environment import ROOT
from tests.acceptance.shop import until
from tests.modes import find_open

USER = "nobody"
SHIPPED = ("celery_config", *PACKAGES, "compose")
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="for another user all tests run as an ordinary user"
)


def as_user() -> dict[str, Any]:
    """How `subprocess` runs a command as the user."""
    return {"user": USER, "group": pwd.getpwnam(USER).pw_gid, "extra_groups": []}


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


def copy_checkout(target: Path) -> None:
    """Copy what the image of the containers has, too, and make .venv of the packages in requirements.lock alone."""
    for name in SHIPPED:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", ".env*"))
    shutil.copy(ROOT / "manage.py", target)
    binaries, packages = target / ".venv" / "bin", target / ".venv" / "lib" / PYTHON / "site-packages"
    binaries.mkdir(parents=True)
    python = find_python()
    (binaries / "python").symlink_to(python)
    (target / ".venv" / "pyvenv.cfg").write_text(f"home = {python.parent}\n")
    for name in re.findall(r"(?m)^([\w.-]+)(?:\[\w+\])?==", (ROOT / "requirements.lock").read_text()):
        for file in distribution(name).files or ():
            if file.parts[0] != ".." and file.suffix != ".pyc":
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), packages / file)


def find_python() -> Path:
    """A Python of our version that the user can run."""
    for folder in (Path(sys.base_prefix) / "bin", Path("/usr/local/bin"), Path("/usr/bin")):
        try:
            subprocess.run([folder / PYTHON, "-c", ""], check=True, cwd="/", **as_user())
        except OSError:
            continue
        return folder / PYTHON
    pytest.fail(f"{USER} can run no {PYTHON}")


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
