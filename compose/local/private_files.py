"""Private files: only their owner can read them, from their first byte on."""

import json
import os
import secrets
import threading
from pathlib import Path
from typing import BinaryIO

from compose.local import ports


def write_private(path: Path, text: str) -> None:
    """Write `text` to a new file at `path`, mode 0600; it replaces an older file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.replace(path)


def append_private(path: Path) -> BinaryIO:
    """Open the file at `path` to append to it; its mode becomes 0600."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
    os.fchmod(file.fileno(), 0o600)
    return file


class KeptValues:
    """A private JSON file of secrets and ports; each is made at its first use and then stays the same."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._values: dict[str, str | int] = json.loads(path.read_text()) if path.exists() else {}

    def secret(self, name: str, length: int = 24) -> str:
        """Return the secret `name`: URL-safe text made of `length` random bytes."""
        with self._lock:
            if name not in self._values:
                self._keep(name, secrets.token_urlsafe(length))
            return str(self._values[name])

    def port(self, name: str) -> int:
        """Return the port `name`; a new one when something else listens on it."""
        with self._lock:
            kept = self._values.get(name)
            if not (isinstance(kept, int) and ports.is_free(kept)):
                kept = ports.free_port()
                self._keep(name, kept)
            return kept

    def _keep(self, name: str, value: str | int) -> None:
        self._values[name] = value
        write_private(self._path, json.dumps(self._values, indent=1))
