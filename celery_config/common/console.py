"""Console output that commands share."""

from __future__ import annotations

import getpass
import os

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def read_user_name() -> str:
    """Return who runs the command; in a container the system may know only the number of the user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def progress_bars(console: Console) -> Progress:
    """A `with` block that shows, for each task, how many things are done out of all."""
    return Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
