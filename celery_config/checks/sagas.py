"""System checks of the sagas of this service: each is imported, and its commands reach services that know them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from celery_config.checks.contracts import name_file
from celery_config.common.services import PARTICIPANTS, SERVICES
from celery_config.contracts.base import Command
from celery_config.contracts.privacy import find_unmarked, list_contracts
from celery_config.saga.dsl import Saga, Step


def check_sagas(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check the sagas of this service's package, and that no module of it defines further ones."""
    package = SERVICES[settings.SERVICE].package
    sagas = [saga for saga in Saga.registry.values() if saga.__module__.partition(".")[0] == package]
    return [
        *(fault for saga in sagas for fault in check_saga(saga, PARTICIPANTS, list_contracts())),
        *check_imported(package),
    ]


def check_saga(
    saga: type[Saga], participants: Collection[str], contracts: Collection[type]
) -> Iterator[CheckMessage]:
    for name in find_unmarked(saga.data):
        yield Warning(
            f"{saga.data.__name__}.{name} sounds like a person's data, and nothing marks it: an erasure would"
            " leave it.",
            hint=f"Write `personal = ({name!r},)` into the command that takes it, or `not_personal = ({name!r},)` into"
            f" {saga.data.__name__} ({name_file(saga.data)}), with the annotation ClassVar.",
            id="sagas.W001",
        )
    for step in saga.steps:
        for command in filter(None, (step.command, step.undo)):
            yield from check_command(saga, step, command, participants, contracts)


def check_command(
    saga: type[Saga],
    step: Step,
    command: type[Command],
    participants: Collection[str],
    contracts: Collection[type],
) -> Iterator[CheckMessage]:
    where = f"{saga.__name__}, step {step.name}: {command.__name__}"
    service = command.service
    if service not in participants:
        meant = get_close_matches(service, participants, n=1) or participants
        yield Error(
            f"{where} belongs to {service!r}, and there is no such participant.",
            hint=f"Write it into the module of {' or '.join(meant)}, or that name as its `service`"
            f" ({name_file(command)}); or add {service} to SERVICES in celery_config/common/services.py.",
            id="sagas.E001",
        )
    elif command not in contracts:
        yield Error(
            f"{where} stands in {name_file(command)}, which {service} does not import.",
            hint=f"Move it to celery_config/contracts/{service}.py.",
            id="sagas.E002",
        )


def check_imported(package: str) -> Iterator[CheckMessage]:
    """Check that each module that defines a saga is imported: a saga that is not would be unknown when it starts."""
    spec = find_spec(package)
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path()
    for file in sorted(folder.rglob("*.py")):
        module = ".".join((package, *file.relative_to(folder).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        if module in sys.modules or not (names := list_sagas(file.read_text(encoding="utf-8"))):
            continue
        yield Error(
            f"{', '.join(names)} in {module.replace('.', '/')}.py is not registered: nothing imports the module.",
            hint=f"Move it to {package}/sagas/, whose modules are all imported.",
            id="sagas.E003",
        )


def list_sagas(source: str) -> list[str]:
    """The classes in a module's text that derive from Saga directly."""
    if "celery_config.saga.dsl" not in source:
        return []
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).rpartition(".")[2] == Saga.__name__ for base in node.bases)
    ]
