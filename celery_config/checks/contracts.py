"""System checks of the contracts that a service owns."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import is_dataclass
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from celery_config.common.services import ORCHESTRATOR, SERVICES
from celery_config.contracts.base import (
    Command,
    Event,
    Message,
    contract_fields,
    find_command_fault,
    find_contract_fault,
)
from celery_config.contracts.privacy import find_unmarked, list_contracts


def list_messages(service: str) -> list[type[Message]]:
    """The commands and events that are a service's own, as `celery_config/contracts` has them."""
    return [kind for kind in list_contracts() if issubclass(kind, Message) and find_service(kind) == service]


def find_service(kind: type) -> str:
    """The service of a contract; empty for a base class."""
    return str(getattr(kind, "service", ""))


def check_contracts(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that each contract of this service can be sent, and that it belongs to a service at all."""
    return [
        *check_messages(list_messages(settings.SERVICE)),
        *check_marks(list_own()),
        *check_owners([kind for kind in list_contracts() if issubclass(kind, Message)], SERVICES),
    ]


def check_messages(kinds: Collection[type[Message]]) -> Iterator[CheckMessage]:
    for kind in kinds:
        fault = find_command_fault(kind) if issubclass(kind, Command) else find_contract_fault(kind, Event)
        if fault:
            yield Error(f"{fault}.", hint=f"It stands in {name_file(kind)}.", id="contracts.E001")


def list_own() -> list[type]:
    """The contracts of this service; the values that several have, and what all announce, are the orchestrator's."""
    shared = [kind for kind in list_contracts() if find_service(kind) not in SERVICES]
    return [*list_messages(settings.SERVICE), *(shared if settings.SERVICE == ORCHESTRATOR else [])]


def check_marks(kinds: Collection[type]) -> Iterator[CheckMessage]:
    """Check that a person's data is marked: an erasure blanks, and pages hide, what is marked alone."""
    for kind in kinds:
        names = {field.name for field in contract_fields(kind)} if is_dataclass(kind) else set()
        for name in {*getattr(kind, "personal", ()), *getattr(kind, "not_personal", ())} - names:
            yield Error(
                f"{kind.__name__} marks {name}, which is no field of it.",
                hint=f"Write the name of a field in {name_file(kind)}.",
                id="contracts.E003",
            )
        for name in find_unmarked(kind) if names else ():
            yield Warning(
                f"{kind.__name__}.{name} sounds like a person's data, and nothing marks it: an erasure would leave it,"
                " and pages would show it.",
                hint=f"Write `personal = ({name!r},)` into {kind.__name__} in {name_file(kind)}, or"
                f" `not_personal = ({name!r},)`.",
                id="contracts.W001",
            )


def check_owners(kinds: Collection[type[Message]], services: Collection[str]) -> Iterator[CheckMessage]:
    for kind in kinds:
        service = find_service(kind)
        if service and service not in services and kind.__module__ != Message.__module__:
            yield Error(
                f"{kind.__name__} belongs to {service!r}, and there is no such service.",
                hint=f"In {name_file(kind)}, write `service = …` with one of {', '.join(services)}; a module that"
                " bears the service's name needs no such line.",
                id="contracts.E002",
            )


def name_file(kind: type) -> str:
    """The file of a class, as people write it."""
    return kind.__module__.replace(".", "/") + ".py"
