"""Private files and folders: what is generated is for its owner alone, from the moment it is made."""

from __future__ import annotations

import errno
import os
from pathlib import Path

PRIVATE = 0o700
# Root runs PostgreSQL as another user, who passes through to a folder of its own and cannot list those above it.
PASSABLE = 0o711
UMASK = 0o077


def outer_mode() -> int:
    """The mode of a folder with folders of ours in it."""
    return PASSABLE if os.geteuid() == 0 else PRIVATE


def make_private_folder(folder: Path, mode: int = PRIVATE) -> None:
    """Make `folder` with this mode, and those above it that are missing with `outer_mode`, whatever the umask is.

    Raises:
        OSError: it cannot be made.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        each.chmod(mode if each == folder else outer_mode())
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def open_privately(path: str, flags: int) -> int:
    """Open a file, for its owner alone if it is new: an `opener` of Python's `open`."""
    return os.open(path, flags, 0o600)
