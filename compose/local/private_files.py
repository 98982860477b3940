"""Private files: only their owner can read them, from their first byte on."""

import json
import os
import secrets
import threading
from pathlib import Path
from typing import Any, BinaryIO

from celery_config.common.private_folders import open_privately
from compose.local import ports
from compose.local.errors import FileBroken
from compose.local.folders import make_folder


def write_private(path: Path, text: str) -> None:
    """Write `text` to a new file at `path`, mode 0600; it replaces an older file."""
    make_folder(path.parent)
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.replace(path)


def append_private(path: Path) -> BinaryIO:
    """Open the file at `path` to append to it; its mode becomes 0600."""
    make_folder(path.parent)
    file = open(path, "ab", opener=open_privately)  # noqa: SIM115
    os.fchmod(file.fileno(), 0o600)
    return file


def read_kept(path: Path) -> dict[str, Any]:
    """Read the JSON object in the file at `path`; empty if there is no file.

    Raises:
        FileBroken: the file holds something else.
    """
    try:
        kept = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        kept = None
    if not isinstance(kept, dict):
        raise FileBroken(
            f"{path} cannot be read as a JSON object: restore it, or delete it and it is made again"
        )
    return kept


class KeptValues:
    """A private JSON file of secrets and ports; each is made at its first use and then stays the same."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._values: dict[str, str | int] = read_kept(path)

    def secret(self, name: str, length: int = 24) -> str:
        """Return the secret `name`: URL-safe text made of `length` random bytes."""
        with self._lock:
            if name not in self._values:
                self._keep(name, secrets.token_urlsafe(length))
            return str(self._values[name])

    def find_port(self, name: str) -> int | None:
        """Return the port `name` if it was made before."""
        kept = self._values.get(name)
        return kept if isinstance(kept, int) else None

    def port(self, name: str, usual: int | None = None) -> int:
        """Return the port `name`; a new one when something else listens on it.

        Args:
            usual: which port to try at its first use.
        """
        with self._lock:
            kept = self.find_port(name)
            if kept and ports.take(kept):
                return kept
            port = ports.free_port(usual if kept is None else None)
            self._keep(name, port)
            return port

    def _keep(self, name: str, value: str | int) -> None:
        self._values[name] = value
        write_private(self._path, json.dumps(self._values, indent=1))
