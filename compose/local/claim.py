"""A folder that one process at a time may use."""

import fcntl
import os
from pathlib import Path

from compose.local.errors import FolderInUse


class FolderClaim:
    """Holds a folder until released, or until our process ends, however it ends.

    Raises:
        FolderInUse: somebody else holds it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._descriptor: int | None = os.open(folder / "claim", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise FolderInUse(
                f"another stack runs in {folder}: stop it first, or name another folder in ORDER_SAGA_VAR"
            ) from None

    def release(self) -> None:
        """Let others have the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
