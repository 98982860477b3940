"""Worse than chaos: something that never works at all, while everything else dies too."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from celery_config.failpoints_elsewhere import LOSES
from compose.local.errors import PackagesMissing

WORSE = {
    "errbacks": "no `link_error` is ever fired",
    "continuations": "no chain goes on to its next link",
    "broker": "the broker's data are deleted in mid-load",
    "clock": "one service's clock is an hour off",
}
SKEWED, SKEW = "payment", "+1h"
LIBRARY = "libfaketime.so.1"


def settings_for(worse: str | None) -> dict[str, str]:
    return {LOSES: worse} if worse in ("errbacks", "continuations") else {}


def clocks_for(worse: str | None) -> dict[str, dict[str, str]]:
    """What sets one service's clocks off, but not the stopwatch that its time-outs are measured with."""
    if worse != "clock":
        return {}
    return {
        SKEWED: {"LD_PRELOAD": str(library()), "FAKETIME": SKEW, "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
    }


def library() -> Path:
    """libfaketime, installed when it is missing and may be.

    Raises:
        PackagesMissing: it is not there.
    """
    if not (found := list(Path("/usr/lib").glob(f"*/faketime/{LIBRARY}"))):
        if os.geteuid() == 0 and shutil.which("apt-get"):
            subprocess.run(["apt-get", "install", "-y", "-qq", "faketime"], check=False, capture_output=True)
        found = list(Path("/usr/lib").glob(f"*/faketime/{LIBRARY}"))
    if not found:
        raise PackagesMissing("install the package `faketime` (apt-get install faketime)")
    return found[0]
