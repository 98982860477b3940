"""How a command finds the stack that `./manage.py up` runs: its environment, kept in a file while it runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from compose.local.private_files import write_private

FILE = "running.json"


@contextmanager
def announced(
    var: Path, environment: Mapping[str, str], inherited: Mapping[str, str] = os.environ
) -> Iterator[None]:
    """Let other commands join this stack for as long as the block runs."""
    ours = {name: value for name, value in environment.items() if inherited.get(name) != value}
    write_private(var / FILE, json.dumps({"pid": os.getpid(), "environment": ours}))
    try:
        yield
    finally:
        (var / FILE).unlink(missing_ok=True)


def join(var: Path) -> bool:
    """Take over the environment of the stack that runs in `var`, if one does.

    What is set already wins, but for the folder: `demo` has one of its own within `var`.

    Returns:
        Whether one runs.
    """
    try:
        kept = json.loads((var / FILE).read_text())
        os.kill(kept["pid"], 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    for name, value in kept["environment"].items():
        os.environ.setdefault(name, value)
    os.environ["ORDER_SAGA_VAR"] = kept["environment"].get("ORDER_SAGA_VAR", str(var))
    return True
