"""The short form of a suite: as many of its files as its share of the time allows, drawn by the commit.

So each commit tries others, and the same commit tries the same everywhere. `./manage.py test --all` tries all.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from compose.local.environment import ROOT

SEED = "DRAW_SEED"
DURATIONS = ROOT / "tests" / "durations.json"
"""Seconds of each file in the last whole run, which `python -m tests.durations` wrote down."""


def list_files(*folders: str) -> list[str]:
    """Return the files with tests in these folders, relative to the checkout."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("test_*.py"))
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def read_durations(path: Path = DURATIONS) -> dict[str, float]:
    """Return the seconds that each file took."""
    return dict(json.loads(path.read_text()))


def draw_files(
    files: Sequence[str],
    durations: Mapping[str, float],
    seconds: float,
    seed: str,
    always: Collection[str] = (),
) -> list[str]:
    """Return the files that are tried, in their order.

    Args:
        durations: seconds, by file. A file without is new, and is always tried.
        seconds: the time for all files together; what is always tried may take more.
        seed: another one draws others.
        always: those that are never left out.
    """
    drawn = {file for file in files if file in always or file not in durations}
    left = seconds - sum(durations.get(file, 0.0) for file in drawn)
    for file in Random(seed).sample(files, len(files)):
        if file not in drawn and durations[file] <= left:
            drawn.add(file)
            left -= durations[file]
    return [file for file in files if file in drawn]


def find_seed() -> str:
    """Return the seed that the environment names; else the commit of the checkout; else today's date."""
    if named := os.environ.get(SEED):
        return named
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return f"{datetime.now(UTC):%Y-%m-%d}"
    return asked.stdout.strip()
