"""The programs of PostgreSQL and RabbitMQ: found where Debian puts them, installed when root lacks them."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from compose.local.errors import PackagesMissing

T = TypeVar("T")

_OLDEST_POSTGRES = 13
_SERVERS_MISSING = (
    f"PostgreSQL {_OLDEST_POSTGRES} or newer and RabbitMQ are needed where Debian puts them "
    "(/usr/lib/postgresql/VERSION/bin, /usr/lib/rabbitmq/bin, epmd), and are not both installed. Install them (Debian, "
    "Ubuntu: sudo apt-get install --no-install-recommends postgresql rabbitmq-server), or name servers of your own in "
    "the environment (ORDER_DATABASE_URL, ORDER_BROKER_URL and so on for each service), or run the system in "
    "containers: docker compose -f compose/compose.yaml up"
)

_POLICY = Path("/usr/sbin/policy-rc.d")
_POLICY_TEXT = "#!/bin/sh\n# Services are started privately, not by the packages.\nexit 101\n"


@dataclass(frozen=True)
class Binaries:
    """Where the servers' programs are.

    Args:
        postgres: folder with `initdb` and `postgres`.
        rabbitmq: folder with `rabbitmq-server` and `rabbitmqctl`, not their system-wide wrappers.
        epmd: Erlang's port mapper.
    """

    postgres: Path
    rabbitmq: Path
    epmd: Path


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", str(path)))


def _newest(folders: Iterable[Path], program: str) -> Path | None:
    usable = [folder for folder in folders if os.access(folder / program, os.X_OK)]
    return max(usable, key=_version, default=None)


def _find_postgres() -> Path | None:
    folders = [
        folder
        for folder in Path("/usr/lib/postgresql").glob("*/bin")
        if _version(folder) >= (_OLDEST_POSTGRES,)
    ]
    return _newest(folders, "postgres")


def _find_rabbitmq() -> Path | None:
    library = Path("/usr/lib/rabbitmq")
    return _newest([library / "bin"], "rabbitmq-server") or _newest(
        library.glob("lib/rabbitmq_server-*/sbin"), "rabbitmq-server"
    )


def _find_epmd() -> Path | None:
    on_path = shutil.which("epmd")
    if on_path:
        return Path(on_path)
    folder = _newest(Path("/usr/lib/erlang").glob("erts-*/bin"), "epmd")
    return folder / "epmd" if folder else None


def find() -> Binaries | None:
    """Return the newest servers installed here, or None when one is missing."""
    postgres, rabbitmq, epmd = _find_postgres(), _find_rabbitmq(), _find_epmd()
    if postgres and rabbitmq and epmd:
        return Binaries(postgres, rabbitmq, epmd)
    return None


def find_or_install(console: Console | None = None) -> Binaries:
    """Return the servers installed here; when they are missing and we are root, install Debian's packages first.

    Raises:
        PackagesMissing: they are missing and cannot be installed from here; says what to install.
    """
    return find_or_install_packages(find, ("postgresql", "rabbitmq-server"), _SERVERS_MISSING, console)


def find_or_install_packages(
    find: Callable[[], T | None], packages: tuple[str, ...], missing: str, console: Console | None
) -> T:
    """Return what `find` finds; when it finds nothing and we are root, install these packages of Debian first.

    Raises:
        PackagesMissing: nothing is found, and it cannot be installed from here; with the text `missing`.
    """
    found = find()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _install(console or Console(), *packages)
        found = find()
    if found is None:
        raise PackagesMissing(missing)
    return found


def _install(console: Console, *packages: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        for command in (
            ["apt-get", "update"],
            ["apt-get", "install", "-y", "--no-install-recommends", *packages],
        ):
            console.print(f"Installing: {' '.join(command)}", highlight=False)
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, umask=0o022
            )
            if done.returncode != 0:
                raise PackagesMissing(
                    f"{' '.join(command)} failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}\n"
                    f"Install {' and '.join(packages)} by hand, then try again."
                )


@contextmanager
def _no_services() -> Iterator[None]:
    """Within the block, packages that are installed start no service (Debian's policy-rc.d interface)."""
    if _POLICY.exists():
        yield
        return
    with tempfile.NamedTemporaryFile("w", dir=_POLICY.parent, delete=False) as file:
        file.write(_POLICY_TEXT)
    Path(file.name).chmod(0o755)
    Path(file.name).replace(_POLICY)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
