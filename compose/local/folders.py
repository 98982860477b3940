"""Folders of the files that we make: each is for its owner alone."""

import stat
from pathlib import Path

from celery_config.common.private_folders import PRIVATE, make_private_folder
from compose.local.errors import FolderMissing


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it, where they are missing.

    Raises:
        FolderMissing: it cannot be made.
    """
    claim_folder(folder, None)


def claim_folder(folder: Path, mode: int | None = PRIVATE) -> None:
    """Make `folder` if it is missing, and give it this mode if it has another one; None: whatever it has.

    Older versions made it with the modes of the shell that they ran in. It must be a folder of ours alone.

    Raises:
        FolderMissing: it cannot be made, or belongs to another user.
    """
    try:
        make_private_folder(folder, PRIVATE if mode is None else mode)
        if mode is not None and stat.S_IMODE(folder.stat().st_mode) != mode:
            folder.chmod(mode)
    except OSError as error:
        raise FolderMissing(
            f"the folder {folder} cannot be made for this user alone ({error.strerror}): name another one in"
            " ORDER_SAGA_VAR"
        ) from error
