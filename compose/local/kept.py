"""Values made once and kept in a file that only its owner can read: ports, passwords, keys."""

import json
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

from compose.local.private_files import write_private


class KeptValues:
    """A small JSON file of named values, mode 0600, each made the first time it is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._values: dict[str, str | int] = json.loads(path.read_text()) if path.exists() else {}

    def secret(self, name: str, length: int = 24) -> str:
        """Return the secret `name`: URL-safe text with `length` random bytes in it."""
        return str(self._get(name, lambda: secrets.token_urlsafe(length)))

    def port(self, name: str, is_usable: Callable[[int], bool], choose: Callable[[], int]) -> int:
        """Return the kept port `name` while it is usable, else the one that `choose` gives, and keep that."""
        kept = self._values.get(name)
        if isinstance(kept, int) and is_usable(kept):
            return kept
        return int(self._put(name, choose()))

    def _get(self, name: str, make: Callable[[], str]) -> str | int:
        with self._lock:
            if name in self._values:
                return self._values[name]
        return self._put(name, make())

    def _put(self, name: str, value: str | int) -> str | int:
        with self._lock:
            self._values[name] = value
            write_private(self._path, json.dumps(self._values, indent=1))
            return value
