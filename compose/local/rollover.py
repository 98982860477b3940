"""Rollover of log files: they grow for a week and to a limited size; what is erased elsewhere does not stay in them.

A process writes into its file until it ends, so the file keeps its name: its content moves to `NAME.log.1`, which
replaces an older one, and begins again. A line that is written in the moment between the two is lost.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from celery_config.common.private_folders import open_privately

MOST_BYTES = 20 * 2**20
MOST_SECONDS = 7 * 86_400.0


class LogRollover:
    """Rolls over the logs of a folder. What is older than the first look goes with the first week.

    Args:
        clock: gives seconds.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._begun = clock()

    def look(self) -> None:
        """Roll over what has become too large, and after a week everything."""
        is_old = self._clock() - self._begun > MOST_SECONDS
        if is_old:
            self._begun = self._clock()
        for log in self._folder.glob("*.log"):
            if is_old or log.stat().st_size > MOST_BYTES:
                roll_over(log)


def roll_over(log: Path) -> None:
    """Move what the file holds into the one beside it."""
    with open(log, "rb") as old, open(f"{log}.1", "wb", opener=open_privately) as kept:
        shutil.copyfileobj(old, kept)
    with open(log, "r+b") as file:
        file.truncate()
