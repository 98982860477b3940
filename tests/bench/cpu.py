"""Processor time and memory of running processes, with their children."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Set
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
        return {name: sum(map(read_seconds, tree)) for name, tree in find_trees(self._parts).items()}


def find_trees(parts: Mapping[str, int]) -> dict[str, list[psutil.Process]]:
    """Return the first process of each part with its descendants, but for those of another part."""
    leaders = set(parts.values())
    return {name: list(walk(psutil.Process(pid), leaders)) for name, pid in parts.items()}


def walk(process: psutil.Process, leaders: Set[int]) -> Iterator[psutil.Process]:
    yield process
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in process.children():
            if child.pid not in leaders:
                yield from walk(child, leaders)


def read_seconds(process: psutil.Process) -> float:
    """Return the seconds that a process used, with its children that have ended; 0 if it has ended itself."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:  # it has just ended: the sum of its parent has it
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def measure_memory(parts: Mapping[str, int], measure: Literal["pss", "uss"] = "pss") -> dict[str, float]:
    """Return the memory of each part now, in MB.

    Args:
        parts: the process id of each part's first process.
        measure: `pss` divides shared memory among the processes that share it; `uss` counts only memory that is not
            shared, so other processes do not change it.
    """
    return {
        name: sum(read_bytes(process, measure) for process in tree) / 1e6
        for name, tree in find_trees(parts).items()
    }


def read_bytes(process: psutil.Process, measure: str) -> int:
    try:
        return int(getattr(process.memory_full_info(), measure))
    except psutil.NoSuchProcess:
        return 0
