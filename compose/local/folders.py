"""Folders of the files that we make."""

from pathlib import Path

from compose.local.errors import FolderMissing


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it, where they are missing.

    Raises:
        FolderMissing: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderMissing(
            f"the folder {folder} cannot be made ({error.strerror}): name another one in ORDER_SAGA_VAR"
        ) from error
