"""Processor time and memory of running processes, with their children."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Literal

import psutil


class CpuMeter:
    """Measures the processor time that each part has used since the meter was made.

    Args:
        parts: the process id of each part's first process.
    """

    def __init__(self, parts: Mapping[str, int]) -> None:
        self._parts = dict(parts)
        self._before = self._read_seconds()

    def read_milliseconds(self) -> dict[str, float]:
        """Return user and system time of each part."""
        now = self._read_seconds()
        return {name: 1000 * (now[name] - self._before[name]) for name in self._parts}

    def _read_seconds(self) -> dict[str, float]:
        return {name: measure_tree_seconds(pid) for name, pid in self._parts.items()}


def measure_tree_seconds(pid: int) -> float:
    """Return the seconds that a process and all its descendants used, also those that have ended."""
    leader = psutil.Process(pid)
    total = 0.0
    for process in [leader, *leader.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended: the sum of its parent has it
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def measure_tree_memory(pid: int, measure: Literal["pss", "uss"] = "pss") -> float:
    """Return the memory of a process and all its descendants now, in MB.

    Args:
        measure: `pss` divides shared memory among the processes that share it; `uss` counts only memory that is not
            shared, so other processes do not change it.
    """
    leader, total = psutil.Process(pid), 0
    for process in [leader, *leader.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += getattr(process.memory_full_info(), measure)
    return total / 1e6
