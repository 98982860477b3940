"""Django system checks of publications and copies; `migrate` and the relay run them before they start."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from celery_config.contracts.base import Event, contract_fields
from celery_config.contracts.subscriptions import merge_patterns
from celery_config.copies.registry import VERSION, Copy, Publication, copies, field_names, publications


@register
def check_declarations(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Every contract must fit the table that is published or kept."""
    return [
        *(fault for publication in publications.values() for fault in check_publication(publication)),
        *(fault for copy in copies.values() for fault in check_copy(copy)),
    ]


def check_publication(publication: Publication) -> Iterator[CheckMessage]:
    model = publication.model
    known = {field.name for field in model._meta.concrete_fields}
    for name in publication.fields:
        if name not in known:
            yield Error(
                f"{publication.changed.__name__} has the field {name}, but {model.__name__} does not.",
                hint="Give the contract's fields the names of the model's fields.",
                id="copies.E001",
            )
    yield from check_contracts(publication.changed, publication.deleted)


def check_copy(copy: Copy) -> Iterator[CheckMessage]:
    for name in copy.fields:
        if name not in field_names(copy.changed)[1:]:
            yield Error(
                f"{copy.model.__name__} has the field {name}, but {copy.changed.__name__} does not.",
                hint="Keep a field of the contract, or ask the owner of the source to add it.",
                id="copies.E002",
            )
    yield from check_contracts(copy.changed, copy.deleted)
    patterns = merge_patterns(import_string(settings.SUBSCRIPTIONS))
    for event in (copy.changed, copy.deleted):
        if not any(fnmatchcase(event.wire_name(), pattern) for pattern in patterns):
            yield Error(
                f"{copy.model.__name__} needs {event.wire_name()}, but {settings.SERVICE} does not receive it.",
                hint=f"Subscribe to it: add it to {settings.SUBSCRIPTIONS}.",
                id="copies.E003",
            )


def check_contracts(changed: type[Event], deleted: type[Event]) -> Iterator[CheckMessage]:
    """Both must have the key as first field and a version; a deletion has no other field."""
    key = field_names(changed)[0]
    versioned = [VERSION in {field.name for field in contract_fields(each)} for each in (changed, deleted)]
    if field_names(deleted) != [key] or not all(versioned):
        yield Error(
            f"{deleted.__name__} must have {key} and version, and {changed.__name__} must have a version.",
            id="copies.E004",
        )
