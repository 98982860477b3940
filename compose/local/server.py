"""A private server: one folder with all its files, one process, and ports and passwords that stay the same."""

import queue
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from celery_config.common.private_folders import PRIVATE
from compose.local.errors import ServerFailed
from compose.local.folders import claim_folder
from compose.local.private_files import KeptValues
from compose.local.process import Deaths, Process


class PrivateServer(ABC):
    """A server with all its files in `folder`; its ports and passwords stay the same over restarts.

    `deaths` receives its end when it was not asked to end. `mode` is that of the folder.
    """

    title: ClassVar[str]

    def __init__(self, folder: Path, log: Path, mode: int = PRIVATE) -> None:
        self.folder = folder.resolve()
        claim_folder(self.folder, mode)
        self.deaths: Deaths = queue.SimpleQueue()
        self._log = log
        self._kept = KeptValues(self.folder / "kept.json")
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The server's process.

        Raises:
            ServerFailed: it was never started.
        """
        if self._process is None:
            raise ServerFailed(f"{self.title} was not started")
        return self._process

    @abstractmethod
    def start(self, timeout: float = 60.0) -> None:
        """Start it on its data, if there are any, and wait until it is ready."""

    def stop(self) -> None:
        """Stop it in good order; its data stay."""
        if self._process:
            self._process.stop()

    def restart(self) -> None:
        """Stop and start it on the same ports."""
        self.stop()
        self.start()

    def wipe(self) -> None:
        """Delete all data, as when the disk is lost; ports and passwords stay.

        Raises:
            ServerFailed: it runs.
        """
        if self._process and self._process.is_running:
            raise ServerFailed(f"{self.title} runs: stop it before its data are deleted")
        self._delete_data()

    @abstractmethod
    def _delete_data(self) -> None: ...
