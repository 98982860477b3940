"""Errors that processes have logged since a test began, for its report: what fails in CI alone is found out by them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

MAX_LINES = 80
MAX_WIDTH = 400
DATA = {"data", "mnesia"}
"""Folders of servers with many files and no log of a process."""
LOUD = re.compile(r"\b(?:ERROR|FATAL|PANIC|CRITICAL)\b|\[(?:error|critical)\]")
TRACEBACK = "Traceback (most recent call last)"


def measure_logs(folder: Path) -> dict[Path, int]:
    """The log files under a folder, with their sizes in bytes."""
    found = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in DATA]
        for name in names:
            path = Path(parent, name)
            if path.suffix == ".log" and path.is_file():
                found[path] = path.stat().st_size
    return found


def read_errors(folder: Path, before: dict[Path, int]) -> str:
    """What was logged as an error in each file since `measure_logs` said `before`; empty if nothing was."""
    lines: list[str] = []
    for path, size in sorted(measure_logs(folder).items()):
        began = before.get(path, 0)
        with path.open("rb") as file:
            # A log that is smaller than it was began anew.
            file.seek(began if began <= size else 0)
            errors = list(find_errors(file.read().decode(errors="replace").splitlines()))
        lines += [f"{path.stem}: {line[:MAX_WIDTH]}" for line in errors]
    return "\n".join(cut(lines))


def find_errors(lines: Iterable[str]) -> Iterator[str]:
    """The lines of errors and whole tracebacks among lines of a log, be they JSON or text."""
    in_traceback = False
    for line in lines:
        if (entry := read_entry(line)) is not None:
            in_traceback = False
            if entry.get("level") in ("error", "critical"):
                exception = str(entry.pop("exception", ""))
                yield json.dumps(entry)
                yield from exception.splitlines()
        elif TRACEBACK in line:
            in_traceback = True
            yield line
        elif in_traceback:
            # The first line that is not indented is the error itself.
            in_traceback = line.startswith((" ", "\t"))
            yield line
        elif LOUD.search(line):
            yield line


def read_entry(line: str) -> dict[str, Any] | None:
    """A line of our JSON logs; None when it is another line."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def cut(lines: list[str]) -> list[str]:
    """The first and the last of many lines: causes come first, and what was last is nearest to the failure."""
    if len(lines) <= MAX_LINES:
        return lines
    half = MAX_LINES // 2
    return [*lines[:half], f"… {len(lines) - 2 * half} lines left out …", *lines[-half:]]
