"""What each service declares of itself in the file `service.toml` of its folder, read and checked."""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from keyword import iskeyword
from pathlib import Path
from typing import Any

from celery_config.errors import DefinitionError

FILE = "service.toml"
NAME = re.compile(r"[a-z]{2,20}")
RESERVED = frozenset({"celery", "compose", "docs", "flower", "operator", "shared", "tests"})
"""Names that mean something else in addresses, queues or tokens."""
RIGHT_NAME = f"Take 2 to 20 small letters, but not {', '.join(sorted(RESERVED))}, and no word of Python's."
LOWEST_PORT, HIGHEST_PORT = 1024, 65535


class Role(StrEnum):
    """What a service does in a saga."""

    ORCHESTRATOR = "orchestrator"
    PARTICIPANT = "participant"


@dataclass(frozen=True)
class Containers:
    """What the containers of a service have besides those of every service.

    Args:
        secrets: names of secrets, each of which is mounted as a file.
        networks: by process, the networks besides those of the databases, of the broker and of the services.
        settings: environment variables as compose reads them.
    """

    secrets: tuple[str, ...] = ()
    networks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """One Django project.

    Args:
        package: its Python package.
        port: where its web listens on a developer's machine.
        outside: what it calls outside, in words for people; empty: nothing.
        keeps_copies_of: the services of whose tables it keeps copies.
        recovers_from_copies: whether it reads its published rows back from those who keep them, after a restore.
        serves: the calls that it answers besides those that the roles need, by caller.
    """

    name: str
    package: str
    port: int
    role: Role = Role.PARTICIPANT
    outside: str = ""
    keeps_copies_of: tuple[str, ...] = ()
    recovers_from_copies: bool = False
    serves: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    containers: Containers = Containers()

    @property
    def settings_module(self) -> str:
        """The value of DJANGO_SETTINGS_MODULE for its processes."""
        return f"{self.package}.config.settings"

    @property
    def subscriptions(self) -> str:
        """The dotted name of the list of events that it subscribes to."""
        return f"{self.package}.subscriptions.SUBSCRIPTIONS"


def find_folder() -> Path:
    """Return the folder in which the services' folders are: `SERVICES_FOLDER`, or that of the shared package."""
    given = os.environ.get("SERVICES_FOLDER")
    return Path(given) if given else Path(__file__).resolve().parents[2]


def read_services(folder: Path) -> dict[str, Service]:
    """Read what the services in `folder` declare, in the order of their ports.

    Raises:
        DefinitionError: a declaration has a fault, or two do not fit together.
    """
    services = sorted(map(read_service, folder.glob(f"*/{FILE}")), key=lambda each: (each.port, each.name))
    check_together(services)
    return {each.name: each for each in services}


def read_service(file: Path) -> Service:
    """Read one declaration.

    Raises:
        DefinitionError: it says what is wrong in which file, and what to write.
    """
    where = f"{file.parent.name}/{FILE}"
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DefinitionError(f"{where} is no TOML: {error}") from error
    try:
        return parse_service(given, file.parent.name)
    except ValueError as error:
        raise DefinitionError(f"{where}: {error}") from error


def parse_service(given: Mapping[str, Any], package: str) -> Service:
    """Make a service from what its file says.

    Raises:
        ValueError: a value is missing, unknown or wrong.
    """
    refuse_unknown(given, {each.name for each in fields(Service)} - {"package"}, "the declaration")
    name = take(given, "name", str)
    if not NAME.fullmatch(name) or name in RESERVED or iskeyword(name):
        raise ValueError(f"name: {name!r} is no name of a service. {RIGHT_NAME}")
    port = take(given, "port", int)
    if isinstance(port, bool) or not LOWEST_PORT <= port <= HIGHEST_PORT:
        raise ValueError(f"port: {port!r} is none of {LOWEST_PORT} to {HIGHEST_PORT}")
    role = take(given, "role", str, Role.PARTICIPANT.value)
    if role not in [*Role]:
        raise ValueError(f"role: {role!r} is none of {', '.join(Role)}")
    containers = take(given, "containers", dict, {})
    refuse_unknown(containers, {each.name for each in fields(Containers)}, "[containers]")
    return Service(
        name=name,
        package=package,
        port=port,
        role=Role(role),
        outside=take(given, "outside", str, ""),
        keeps_copies_of=take_texts(given, "keeps_copies_of"),
        recovers_from_copies=take(given, "recovers_from_copies", bool, False),
        serves=take_lists(given, "serves"),
        containers=Containers(
            take_texts(containers, "secrets"),
            take_lists(containers, "networks"),
            {each: take(take(containers, "settings", dict), each, str) for each in containers.get("settings", {})},
        ),
    )  # fmt: skip


def take(given: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    """Return a value of this kind.

    Raises:
        ValueError: it is missing, or of another kind.
    """
    value = given.get(name, default)
    if value is None:
        raise ValueError(f"{name} is missing")
    if not isinstance(value, kind):
        raise ValueError(f"{name}: {value!r} is no {kind.__name__}")
    return value


def take_texts(given: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """
    Raises:
        ValueError: it is no list of texts.
    """
    values = take(given, name, list, [])
    if not all(isinstance(each, str) for each in values):
        raise ValueError(f"{name}: {values!r} is no list of texts")
    return tuple(values)


def take_lists(given: Mapping[str, Any], name: str) -> dict[str, tuple[str, ...]]:
    """
    Raises:
        ValueError: it is no table of lists of texts.
    """
    table = take(given, name, dict, {})
    return {each: take_texts(table, each) for each in table}


def refuse_unknown(given: Mapping[str, Any], known: set[str], where: str) -> None:
    """
    Raises:
        ValueError: a name is not known, such as a misspelt one.
    """
    if unknown := sorted({*given} - known):
        raise ValueError(f"{where} has no {', '.join(unknown)}: it has {', '.join(sorted(known))}")


def check_together(services: Sequence[Service]) -> None:
    """
    Raises:
        DefinitionError: two have one name or port, there is no orchestrator or more than one, or one names another
            that is not there.
    """
    names, ports = (Counter(getattr(each, name) for each in services) for name in ("name", "port"))
    for what, counted in (("name", names), ("port", ports)):
        if twice := [str(value) for value, count in counted.items() if count > 1]:
            raise DefinitionError(
                f"Two services have the {what} {twice[0]}: give one of them another in its {FILE}"
            )
    orchestrators = [each.package for each in services if each.role == Role.ORCHESTRATOR]
    if len(orchestrators) != 1:
        found = ", ".join(orchestrators) or "none"
        raise DefinitionError(f'One service has role = "orchestrator" in its {FILE}; here: {found}')
    for each in services:
        callers = {*each.serves} - {"operator"}
        if strange := sorted({*each.keeps_copies_of, *callers} - {*names}):
            raise DefinitionError(f"{each.package}/{FILE} names {strange[0]}, and no service has this name")
