"""A copy of what the image of the containers has, and another user than root, who runs it."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from celery_config.common.services import PACKAGES
from compose.local.environment import ROOT

USER = "nobody"
SHIPPED = ("celery_config", *PACKAGES, "compose")
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
needs_root = pytest.mark.skipif(
    os.geteuid() != 0,
    reason="only root runs commands as another user; then all tests run as an ordinary user",
)


def as_user() -> dict[str, Any]:
    """How `subprocess` runs a command as the user."""
    return {"user": USER, "group": pwd.getpwnam(USER).pw_gid, "extra_groups": []}


def copy_checkout(target: Path) -> None:
    """Copy what the image has, compiled as there, and make .venv of the packages in requirements.lock alone."""
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
            # What Python compiled of a source is listed, too; it may have been deleted.
            if file.parts[0] != ".." and (source := Path(str(file.locate()))).exists():
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                # With its time, by which Python knows what was compiled of it.
                shutil.copy2(source, packages / file)
    subprocess.run([python, "-m", "compileall", "-q", *SHIPPED], cwd=target, check=True)


def find_python() -> Path:
    """A Python of our version that the user can run."""
    for folder in (Path(sys.base_prefix) / "bin", Path("/usr/local/bin"), Path("/usr/bin")):
        try:
            subprocess.run([folder / PYTHON, "-c", ""], check=True, cwd="/", **as_user())
        except OSError:
            continue
        return folder / PYTHON
    pytest.fail(f"{USER} can run no {PYTHON}")
