"""A backup of one service's database, taken and put back with PostgreSQL's own tools."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from compose.local.packages import find_or_install
from compose.local.stack import Stack


@dataclass(frozen=True)
class Backup:
    """The database of a service, as it was when `take` was called.

    Args:
        file: keeps it.
    """

    stack: Stack
    service: str
    file: Path

    def take(self) -> None:
        self.run("pg_dump", "--format=custom", f"--file={self.file}")

    def restore(self) -> None:
        """Put the database back; no process of the service may run."""
        self.run("pg_restore", "--clean", "--if-exists", "--single-transaction", str(self.file))

    def run(self, program: str, *arguments: str) -> None:
        assert self.stack.postgres is not None
        url = self.stack.postgres.superuser_url(self.service)
        path = find_or_install().postgres / program
        done = subprocess.run(
            [path, f"--dbname={url}", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
