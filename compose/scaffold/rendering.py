"""Files made from templates: all of them, or none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from django.template import Context, Engine

from compose.local.environment import ROOT
from compose.local.errors import LocalError

NAME_IN_PATHS, SUFFIX = "project_name", "-tpl"
Files = dict[Path, str]
"""The text of each file, by its path."""


def render_folder(folder: Path, name: str, values: Mapping[str, str]) -> Files:
    """Render each template of a folder.

    Args:
        name: stands for `project_name` in paths.
        values: what the templates may name, as texts.
    """
    engine, context = Engine(), Context(dict(values), autoescape=False)
    files: Files = {}
    for template in sorted(folder.rglob(f"*{SUFFIX}")):
        path = str(template.relative_to(folder)).removesuffix(SUFFIX).replace(NAME_IN_PATHS, name)
        files[ROOT / path] = str(engine.from_string(template.read_text(encoding="utf-8")).render(context))
    return files


def make_name_of_class(name: str) -> str:
    """Return `BookTrip` for `book-trip`."""
    return "".join(part.capitalize() for part in name.split("-"))


def write_new(files: Files) -> None:
    """Write files that are not there yet.

    Raises:
        LocalError: one of them is there; nothing is written.
    """
    if there := [str(path.relative_to(ROOT)) for path in files if path.exists()]:
        raise LocalError(f"Nothing was made: there is already {', '.join(there)}.")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def format_code(files: Files) -> None:
    """Format Python files as all others are, where the tools of developers are installed."""
    paths = [path for path in files if path.suffix == ".py"]
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff and paths:
        subprocess.run([ruff, "format", "--quiet", *map(str, paths)], cwd=ROOT, check=True)
        subprocess.run(
            [ruff, "check", "--quiet", "--fix", "--select=I", *map(str, paths)], cwd=ROOT, check=True
        )


def run(*command: str) -> None:
    """Run a command of the repository in a process of its own, which sees the new files.

    Raises:
        LocalError: it fails.
    """
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        raise LocalError(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")
