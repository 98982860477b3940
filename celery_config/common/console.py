"""Console output that commands share."""

from __future__ import annotations

import getpass
import os

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from celery_config.common.visible_text import escape_controls


def read_user_name() -> str:
    """Return who runs the command; in a container the system may know only the number of the user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def show_text(text: str) -> Text:
    """Return a text of whatever origin as rich shows it: in a plain one it would take brackets for its own marks."""
    return Text(escape_controls(text))


def progress_bars(console: Console) -> Progress:
    """A `with` block that shows, for each task, how many things are done out of all."""
    return Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
