"""Which files and folders others can read."""

from __future__ import annotations

import stat
from pathlib import Path


def find_open(folder: Path) -> list[str]:
    """What others can list, read or change in `folder`; through a folder that they cannot list they may pass."""
    found = []
    for path in [folder, *folder.rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        if not path.is_symlink() and mode & (0o066 if path.is_dir() else 0o077):
            found.append(f"{path} has mode {mode:o}")
    return found
