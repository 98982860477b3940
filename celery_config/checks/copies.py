"""System checks of publications and copies: what is kept is declared, heard, published and may be compared."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.db import models

from celery_config.checks.contracts import list_messages
from celery_config.checks.subscriptions import read_own_lines
from celery_config.common.declarations import FILE
from celery_config.common.service_calls import COMPARE, find_scope
from celery_config.common.services import SERVICES
from celery_config.contracts.base import Event, Message, contract_fields
from celery_config.contracts.subscriptions import EventSubscription
from celery_config.copies.models import CopiedRow, Published
from celery_config.copies.registry import VERSION, Copy, Publication, copies, field_names, publications
from celery_config.copies.subscriber import handle_events

HANDLE_EVENTS = f"{handle_events.__module__}.{handle_events.__name__}"
Tables = Collection[type[models.Model]]


def check_declarations(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that each contract fits the table that is published or kept, and that nothing is left undeclared."""
    package = SERVICES[settings.SERVICE].package
    return [
        *(fault for publication in publications.values() for fault in check_publication(publication)),
        *(fault for copy in copies.values() for fault in check_copy(copy)),
        *check_all_declared(package, apps.get_models()),
        *check_all_published(list_messages(settings.SERVICE)),
        *check_all_kept(),
        *check_sources({copy.service for copy in copies.values()}),
    ]


def check_all_declared(package: str, tables: Tables) -> Iterator[CheckMessage]:
    """Check that each table which is made to be published, or to be a copy, is declared as one."""
    declared: set[type[models.Model]] = {
        *(each.model for each in publications.values()), *(each.model for each in copies.values())
    }  # fmt: skip
    for model in tables:
        if model in declared or not issubclass(model, Published | CopiedRow):
            continue
        if issubclass(model, CopiedRow):
            what, line = "a copy", f"keep_copy({model.__name__}, …Changed, …Deleted)"
        else:
            what, line = (
                "published",
                f"publish({model.__name__}, {model.__name__}Changed, {model.__name__}Deleted)",
            )
        yield Error(
            f"{model.__name__} is made to be {what}, and nothing declares it.",
            hint=f"Write `{line}` into {package}/copies.py.",
            id="copies.E005",
        )


def check_all_published(kinds: Collection[type[Message]]) -> Iterator[CheckMessage]:
    """Check that the contracts of this service's tables are published: who keeps a copy waits for these events."""
    published = {each.changed for each in publications.values()}
    for kind in kinds:
        names = {field.name for field in contract_fields(kind)}
        if kind.__name__.endswith("Changed") and VERSION in names and kind not in published:
            yield Error(
                f"{kind.__name__} tells of rows, and no table is published by it.",
                hint=f"Write `publish(MODEL, {kind.__name__}, …Deleted)` into"
                f" {SERVICES[settings.SERVICE].package}/copies.py.",
                id="copies.E006",
            )


def check_all_kept() -> Iterator[CheckMessage]:
    """Check that what is heard for copies is kept in one; other events would vanish without a word."""
    kept = {event for copy in copies.values() for event in (copy.changed, copy.deleted)}
    for event in list_heard():
        if event not in kept:
            name = event if isinstance(event, str) else event.__name__
            yield Error(
                f"{settings.SUBSCRIPTIONS} gives {name} to {HANDLE_EVENTS}, and no copy keeps it.",
                hint="Write `keep_copy(MODEL, …Changed, …Deleted)` into"
                f" {SERVICES[settings.SERVICE].package}/copies.py, and name contracts, not patterns.",
                id="copies.E007",
            )


def check_sources(sources: Collection[str]) -> Iterator[CheckMessage]:
    """Check that each source that is declared has a copy here."""
    service = SERVICES[settings.SERVICE]
    for unused in sorted({*service.keeps_copies_of} - {*sources}):
        yield Error(
            f"{settings.SERVICE} declares that it keeps copies of {unused}, and keeps none.",
            hint=f"Take it out of keeps_copies_of in {service.package}/{FILE}, or declare the copy in copies.py.",
            id="copies.E009",
        )


def list_heard() -> list[type[Event] | str]:
    """The events that the subscriber of copies gets; none if the list cannot be read, which another check says."""
    try:
        lines = read_own_lines()
    except Exception:  # the check of services says why
        return []
    return [
        event
        for line in lines
        if isinstance(line, EventSubscription) and line.call == HANDLE_EVENTS
        for event in line.to
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
    heard = list_heard()
    for event in (copy.changed, copy.deleted):
        if event not in heard:
            yield Error(
                f"{copy.model.__name__} needs {event.wire_name()}, but {settings.SERVICE} does not receive it.",
                hint=f"Write `subscribe({copy.changed.__name__}, {copy.deleted.__name__}, call={HANDLE_EVENTS!r},"
                f" once=False)` into the list {settings.SUBSCRIPTIONS}.",
                id="copies.E003",
            )
    if not {*COMPARE} <= find_scope(copy.service, settings.SERVICE):
        yield Error(
            f"{settings.SERVICE} may not compare {copy.model.__name__} with {copy.service}.",
            hint=f'Write `keeps_copies_of = ["{copy.service}"]` into'
            f" {SERVICES[settings.SERVICE].package}/{FILE}.",
            id="copies.E008",
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
