"""The printer of log files: it prints many files as they grow, each line short, with a coloured name before it."""

import os
import threading
from itertools import cycle
from pathlib import Path

from rich.console import Console
from rich.text import Text

from compose.local.errors import LocalError
from compose.local.lines import shorten

_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_red", "bright_cyan", "bright_green")
_SECONDS_BETWEEN_LOOKS = 0.1
_NAME_WIDTH = 17


class _LogFile:
    def __init__(self, name: str, path: Path, colour: str) -> None:
        self._prefix = Text(f"{name:<{_NAME_WIDTH}} ", style=colour)
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0

    def read_new_lines(self) -> list[Text]:
        if not self._path.exists():
            return []
        with open(self._path, "rb") as file:
            if self._position > os.fstat(file.fileno()).st_size:
                self._position = 0  # it was rolled over
            file.seek(self._position)
            whole_lines, newline, _ = file.read().rpartition(b"\n")
        self._position += len(whole_lines) + len(newline)
        lines = whole_lines.decode(errors="replace").splitlines()
        return [Text.assemble(self._prefix, shorten(line)) for line in lines]


class LogPrinter:
    """Follows log files in a thread of its own until it is closed."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._colours = cycle(_COLOURS)
        self._followed: dict[str, _LogFile] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-printer", daemon=True)
        self._thread.start()

    def follow(self, name: str, path: Path) -> None:
        """Print what is written to `path` from now on, with `name` before each line."""
        if name not in self._followed:
            self._followed[name] = _LogFile(name, path, next(self._colours))

    def close(self) -> None:
        """Print the remaining lines, and end."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(_SECONDS_BETWEEN_LOOKS):
            self._print()
        self._print()

    def _print(self) -> None:
        for followed in list(self._followed.values()):
            for line in followed.read_new_lines():
                if self._console.is_terminal:
                    line.truncate(self._console.width, overflow="ellipsis")
                self._console.print(line, soft_wrap=True)


def print_error(error: LocalError | TimeoutError | str) -> None:
    """Print the text of an error as it is, in red, on standard error."""
    Console(stderr=True, highlight=False).print(str(error), markup=False, style="red", soft_wrap=True)
