"""Claims: a file lock that one process holds until it lets go or ends, however it ends."""

import fcntl
import os
from pathlib import Path

from compose.local.errors import FolderInUse
from compose.local.folders import make_folder


def claim_file(path: Path, mode: int) -> int | None:
    """Lock the file at `path`; it is made with `mode` when it is missing.

    Returns:
        The descriptor that holds the lock until it is closed, or None when another process holds it.

    Raises:
        PermissionError: the file belongs to another user.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


class FolderClaim:
    """Holds a folder, so that only one stack runs in it.

    Raises:
        FolderInUse: another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self._descriptor = claim_file(folder / "claim", 0o600)
        if self._descriptor is None:
            raise FolderInUse(
                f"another stack runs in {folder}: stop it first, or name another folder in ORDER_SAGA_VAR"
            )

    def release(self) -> None:
        """Let others have the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
