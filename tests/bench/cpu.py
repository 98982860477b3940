"""Processor time and memory of running processes, their children included."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Literal

import psutil


class CpuMeter:
    """Processor time used by each part since it was made.

    Args:
        parts: the process id of each part's leader.
    """

    def __init__(self, parts: Mapping[str, int]) -> None:
        self._parts = dict(parts)
        self._before = self._read()

    def milliseconds(self) -> dict[str, float]:
        """User and system time of each part."""
        now = self._read()
        return {name: 1000 * (now[name] - self._before[name]) for name in self._parts}

    def _read(self) -> dict[str, float]:
        return {name: tree_seconds(pid) for name, pid in self._parts.items()}


def tree_seconds(pid: int) -> float:
    """Seconds used by a process and all its descendants, those that have ended included."""
    leader = psutil.Process(pid)
    total = 0.0
    for process in [leader, *leader.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended: its parent's sum holds it
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def tree_megabytes(pid: int, measure: Literal["pss", "uss"] = "pss") -> float:
    """Memory of a process and all its descendants now, in MB.

    Args:
        measure: `pss` divides what processes share among them; `uss` is what each has alone, whoever comes or goes.
    """
    leader, total = psutil.Process(pid), 0
    for process in [leader, *leader.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += getattr(process.memory_full_info(), measure)
    return total / 1e6
