"""The packages of the peers, in a folder of their own: no package and no lock file of the project names them."""

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


class PeerPackages:
    """A virtual environment and npm packages below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        self._note = folder / "installed"

    @property
    def restate_server(self) -> Path:
        """The program of the server itself; the command that npm installs would start it through Node.

        Raises:
            LocalError: npm has no program for this kind of machine.
        """
        packages = (self.folder / "node_modules" / "@restatedev").glob("restate-server-*/bin/restate-server")
        found = next(packages, None)
        if found is None:
            raise LocalError(f"{RESTATE_SERVER} has no program for this kind of machine")
        return found

    def install_missing(self, console: Console) -> None:
        """Install the packages, unless they are there in the pinned versions.

        Raises:
            LocalError: the installation failed; the text says which command.
        """
        wanted = f"{sys.version}\n{RESTATE_SERVER}\n{REQUIREMENTS.read_text()}"
        if self._note.exists() and self._note.read_text() == wanted:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        console.print(f"Installing DBOS and Restate into {self.folder} …")
        run_command(sys.executable, "-m", "venv", str(self.folder / "venv"))
        run_command(
            str(self.python), "-m", "pip", "install", "--disable-pip-version-check", "-r", str(REQUIREMENTS)
        )
        # The packages' install scripts only report the installation to their makers.
        run_command(
            "npm", "install", "--ignore-scripts", "--no-audit", "--prefix", str(self.folder), RESTATE_SERVER
        )
        self._note.write_text(wanted)


def run_command(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise LocalError(f"The peers need {command[0]}, which is not installed.") from error
    if done.returncode != 0:
        raise LocalError(describe_failure(command, f"{done.stdout}\n{done.stderr}"))


def describe_failure(command: Sequence[str], output: str) -> str:
    last = "\n  ".join(output.strip().splitlines()[-3:])
    return (
        f"The peers could not be installed; PyPI and the npm registry must be reachable with the settings of"
        f" pip and npm. {' '.join(command)} failed:\n  {last}"
    )
