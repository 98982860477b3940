"""The announcement of a running stack: a file with its environment, from which other commands join it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from compose.local.private_files import write_private

FILE = "running.json"


@contextmanager
def announce(
    var: Path, environment: Mapping[str, str], inherited: Mapping[str, str] = os.environ
) -> Iterator[None]:
    """Let other commands join this stack while the block runs."""
    ours = {name: value for name, value in environment.items() if inherited.get(name) != value}
    write_private(var / FILE, json.dumps({"pid": os.getpid(), "environment": ours}))
    try:
        yield
    finally:
        (var / FILE).unlink(missing_ok=True)


def join_stack(var: Path) -> bool:
    """Take over the environment of the stack that runs in `var`.

    A variable that is set already wins, except for the folder: `demo` has a folder of its own within `var`.

    Returns:
        Whether a stack runs there.
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
