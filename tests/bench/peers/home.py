"""The peers' packages, in a folder of their own: none of ours depends on them, and no lock file of ours names them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from compose.local.errors import LocalError

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
RESTATE_SERVER = "@restatedev/restate-server@1.7.12"


class Home:
    """A virtual environment and npm packages below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        self._note = folder / "installed"

    @property
    def restate_server(self) -> Path:
        """The server's program itself: npm's command of that name starts it through Node.

        Raises:
            LocalError: npm has none for this kind of machine.
        """
        packages = (self.folder / "node_modules" / "@restatedev").glob("restate-server-*/bin/restate-server")
        found = next(packages, None)
        if found is None:
            raise LocalError(f"{RESTATE_SERVER} brought no program for this kind of machine")
        return found

    def find_or_install(self, console: Console) -> None:
        """Install what is not there in the wanted versions.

        Raises:
            LocalError: it cannot be installed; says what failed.
        """
        wanted = f"{sys.version}\n{RESTATE_SERVER}\n{REQUIREMENTS.read_text()}"
        if self._note.exists() and self._note.read_text() == wanted:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        console.print(f"Installing DBOS and Restate into {self.folder} …")
        run(sys.executable, "-m", "venv", str(self.folder / "venv"))
        run(str(self.python), "-m", "pip", "install", "--disable-pip-version-check", "-r", str(REQUIREMENTS))
        # Its packages' install scripts only report the installation to their makers.
        run("npm", "install", "--ignore-scripts", "--no-audit", "--prefix", str(self.folder), RESTATE_SERVER)
        self._note.write_text(wanted)


def run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise LocalError(f"The peers need {command[0]}, which is not installed.") from error
    if done.returncode != 0:
        raise LocalError(told(command, f"{done.stdout}\n{done.stderr}"))


def told(command: Sequence[str], output: str) -> str:
    last = "\n  ".join(output.strip().splitlines()[-3:])
    return (
        f"The peers could not be installed; PyPI and the npm registry must be reachable, by pip's and npm's own"
        f" settings. {' '.join(command)} failed:\n  {last}"
    )
