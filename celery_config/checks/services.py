"""System checks of the services: each has the files that its processes need."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Error

from celery_config.broker.topology import read_subscriptions
from celery_config.common.declarations import Service
from celery_config.common.services import SERVICES
from celery_config.errors import DefinitionError

FILES = {
    "apps": "its Django app",
    "config/settings": "its settings",
    "groups": "what each group may do there",
    "tasks": "its handlers, and register_subscriptions(SUBSCRIPTIONS)",
}
"""What every service has, and what it is."""


def check_services(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that every service that declares itself is whole; a wrong declaration ends the start before this."""
    packages = (fault for name, service in SERVICES.items() for fault in check_package(name, service))
    return [*packages, *check_celery_app()]


def check_package(name: str, service: Service) -> Iterator[CheckMessage]:
    """Check a package by its files: if it were imported, its Celery app would be that of this process."""
    spec = find_spec(service.package)
    if spec is None or not spec.submodule_search_locations:
        yield Error(
            f"There is no package {service.package}, which is that of {name}.",
            hint=f"Make it a package: it needs {service.package}/__init__.py.",
            id="services.E001",
        )
        return
    folder = Path(spec.submodule_search_locations[0])
    for file, what in FILES.items():
        if not (folder / f"{file}.py").is_file() and not (folder / file).is_dir():
            yield Error(
                f"{name} has no {service.package}/{file}.py: {what}.",
                hint="Write it as docs/how-to/add-a-service.md shows.",
                id="services.E002",
            )
    try:
        read_subscriptions(service.subscriptions)
    except DefinitionError as error:
        yield Error(
            f"It is not known what {name} hears: {error}.",
            hint="Every service has such a list, even an empty one.",
            id="services.E003",
        )
    except Exception as error:  # the file may do anything
        yield Error(
            f"{service.package}/subscriptions.py fails: {type(error).__name__}: {error}",
            hint="All services read it, so it imports contracts alone, and names functions by their dotted paths.",
            id="services.E003",
        )


def check_celery_app() -> Iterator[CheckMessage]:
    """Check the name of the Celery app: its queues and its control exchange are those of the service."""
    if current_app.main != settings.SERVICE:
        package = SERVICES[settings.SERVICE].package
        yield Error(
            f"The Celery app of {settings.SERVICE} is called {current_app.main!r}.",
            hint=f"Write `celery_app = make_celery({settings.SERVICE!r})` into {package}/__init__.py.",
            id="services.E004",
        )
