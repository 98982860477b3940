"""System checks of the table of services, and of what else goes by a service's name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Error

from celery_config.broker.topology import read_subscriptions
from celery_config.common.service_calls import FURTHER_CALLS, OPERATOR
from celery_config.common.services import SERVICES, Service
from celery_config.contracts.base import SERVICE_NAME
from celery_config.errors import DefinitionError

TABLE = "SERVICES in celery_config/common/services.py"
FILES = {
    "apps": "its Django app",
    "config/celery": "its Celery app",
    "config/settings": "its settings",
    "config/urls": "its URLs",
    "config/wsgi": "its web",
    "groups": "what each group may do there",
    "tasks": "its handlers, and register_subscriptions(SUBSCRIPTIONS)",
}
"""What every service has, and what it is."""


def check_services(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that every service of the table has its package, and that no other list names a further one."""
    return [*check_table(SERVICES), *check_calls(FURTHER_CALLS, SERVICES), *check_celery_app()]


def check_table(services: Mapping[str, Service]) -> Iterator[CheckMessage]:
    ports: dict[int, str] = {}
    for name, service in services.items():
        if not SERVICE_NAME.fullmatch(name):
            yield Error(
                f"A service is called {name!r}, and the broker lets it send under small letters and _ alone.",
                hint=f"Write another name into {TABLE}.",
                id="services.E001",
            )
        if service.port in ports:
            yield Error(
                f"{ports[service.port]} and {name} have the port {service.port}.",
                hint=f"Give one of them another port in {TABLE}.",
                id="services.E002",
            )
        ports[service.port] = name
        yield from check_package(name, service)


def check_package(name: str, service: Service) -> Iterator[CheckMessage]:
    """Check a package by its files: if it were imported, its Celery app would be that of this process."""
    spec = find_spec(service.package)
    if spec is None or not spec.submodule_search_locations:
        yield Error(
            f"There is no package {service.package}, which is that of {name}.",
            hint=f"Make it as docs/how-to/add-a-service.md shows, or write its real name into {TABLE}.",
            id="services.E003",
        )
        return
    folder = Path(spec.submodule_search_locations[0])
    for file, what in FILES.items():
        if not (folder / f"{file}.py").is_file() and not (folder / file).is_dir():
            yield Error(
                f"{name} has no {service.package}/{file}.py: {what}.",
                hint="Write it as docs/how-to/add-a-service.md shows.",
                id="services.E004",
            )
    try:
        read_subscriptions(service.subscriptions)
    except DefinitionError as error:
        yield Error(
            f"It is not known what {name} hears: {error}.",
            hint="Every service has such a list, even an empty one.",
            id="services.E005",
        )
    except Exception as error:  # the file may do anything
        yield Error(
            f"{service.package}/subscriptions.py fails: {type(error).__name__}: {error}",
            hint="All services read it, so it imports contracts alone, and names functions by their dotted paths.",
            id="services.E005",
        )


def check_calls(
    calls: Mapping[str, Mapping[str, Any]], services: Mapping[str, Service]
) -> Iterator[CheckMessage]:
    for unknown in sorted({*calls, *(caller for callers in calls.values() for caller in callers)}):
        if unknown not in services and unknown != OPERATOR:
            yield Error(
                f"celery_config/common/service_calls.py names {unknown!r}, which is no service.",
                hint=f"Write one of {', '.join(services)} there, or add {unknown} to {TABLE}.",
                id="services.E006",
            )


def check_celery_app() -> Iterator[CheckMessage]:
    """Check the name of the Celery app: its queues and its control exchange are those of the service."""
    if current_app.main != settings.SERVICE:
        package = SERVICES[settings.SERVICE].package
        yield Error(
            f"The Celery app of {settings.SERVICE} is called {current_app.main!r}.",
            hint=f"Write `app = make_celery({settings.SERVICE!r}, {package!r})` into {package}/config/celery.py.",
            id="services.E007",
        )
