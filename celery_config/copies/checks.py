"""What `./manage.py SERVICE check` finds; migrate and relay ask it before they start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from celery_config.contracts.base import Event, contract_fields
from celery_config.contracts.subscriptions import merge_patterns
from celery_config.copies.registry import VERSION, Copy, Publication, copies, names_of, publications


@register
def declarations(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Contracts and tables of what is published and kept must agree."""
    return [
        *(fault for publication in publications.values() for fault in faults_of_publication(publication)),
        *(fault for copy in copies.values() for fault in faults_of_copy(copy)),
    ]


def faults_of_publication(publication: Publication) -> Iterator[CheckMessage]:
    model = publication.model
    known = {field.name for field in model._meta.concrete_fields}
    for name in publication.fields:
        if name not in known:
            yield Error(
                f"{publication.changed.__name__} announces {name}, which {model.__name__} does not have.",
                hint="Name the contract's fields after the model's.",
                id="copies.E001",
            )
    yield from faults_of_contracts(publication.changed, publication.deleted)


def faults_of_copy(copy: Copy) -> Iterator[CheckMessage]:
    for name in copy.fields:
        if name not in names_of(copy.changed)[1:]:
            yield Error(
                f"{copy.model.__name__} keeps {name}, which {copy.changed.__name__} does not bring.",
                hint="Keep a field of the contract, or let its owner add it there.",
                id="copies.E002",
            )
    yield from faults_of_contracts(copy.changed, copy.deleted)
    wanted = merge_patterns(import_string(settings.SUBSCRIPTIONS))
    for event in (copy.changed, copy.deleted):
        if not matches(event.wire_name(), wanted):
            yield Error(
                f"{copy.model.__name__} is fed by {event.wire_name()}, which does not come here.",
                hint=f"Subscribe to it: add it to {settings.SUBSCRIPTIONS}.",
                id="copies.E003",
            )


def faults_of_contracts(changed: type[Event], deleted: type[Event]) -> Iterator[CheckMessage]:
    """Both have the key first and a version; a deletion has nothing else."""
    key = names_of(changed)[0]
    if names_of(deleted) != [key] or not all(has_version(each) for each in (changed, deleted)):
        yield Error(
            f"{deleted.__name__} must have {key} and version, and {changed.__name__} a version.",
            id="copies.E004",
        )


def has_version(contract: type[Event]) -> bool:
    return VERSION in [field.name for field in contract_fields(contract)]


def matches(kind: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(kind, pattern) for pattern in patterns)
