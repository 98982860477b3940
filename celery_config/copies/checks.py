"""What `./manage.py SERVICE check` finds; migrate and relay ask it before they start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from celery_config.broker import topology
from celery_config.contracts.base import Event, fields_of
from celery_config.copies.registry import VERSION, Copy, Publication, copies, field_names, publications


@register
def check_declarations(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Contracts and tables of what is published and kept must agree."""
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
                f"{publication.changed.__name__} announces {name}, which {model.__name__} does not have.",
                hint="Name the contract's fields after the model's.",
                id="copies.E001",
            )
    yield from check_contracts(publication.changed, publication.deleted)


def check_copy(copy: Copy) -> Iterator[CheckMessage]:
    for name in copy.fields:
        if name not in field_names(copy.changed)[1:]:
            yield Error(
                f"{copy.model.__name__} keeps {name}, which {copy.changed.__name__} does not bring.",
                hint="Keep a field of the contract, or let its owner add it there.",
                id="copies.E002",
            )
    yield from check_contracts(copy.changed, copy.deleted)
    wanted = topology.SUBSCRIPTIONS.get(settings.SERVICE, ())
    for event in (copy.changed, copy.deleted):
        if not matches_any(event.wire_name(), wanted):
            yield Error(
                f"{copy.model.__name__} is fed by {event.wire_name()}, which does not come here.",
                hint=f"Add it to SUBSCRIPTIONS of {settings.SERVICE} in celery_config/broker/topology.py.",
                id="copies.E003",
            )


def check_contracts(changed: type[Event], deleted: type[Event]) -> Iterator[CheckMessage]:
    """Both have the key first and a version; a deletion has nothing else."""
    key = field_names(changed)[0]
    if field_names(deleted) != [key] or not all(has_version(each) for each in (changed, deleted)):
        yield Error(
            f"{deleted.__name__} must have {key} and version, and {changed.__name__} a version.",
            id="copies.E004",
        )


def has_version(contract: type[Event]) -> bool:
    return VERSION in [field.name for field in fields_of(contract)]


def matches_any(kind: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(kind, pattern) for pattern in patterns)
