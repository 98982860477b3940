"""What is published and what is kept: each service says it in its `copies.py`, a line each.

publish(Customer, CustomerChanged, CustomerDeleted)
keep(CatalogueProduct, ProductChanged, ProductDeleted)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import models, transaction
from django.db.models.signals import post_delete, post_save

from celery_config.contracts.base import Event, contract_fields, snake_case
from celery_config.copies.models import CopiedRow, Published
from celery_config.errors import DefinitionError
from celery_config.messaging.outbox import notifier

OF_EVERY_COPY = {field.name for field in CopiedRow._meta.local_fields}
VERSION, CHANGED = "version", "_changed"


def name_of(changed: type[Event]) -> str:
    """What the rows that such events are about are called: `product`."""
    name = snake_case(changed.__name__)
    if not name.endswith(CHANGED):
        raise DefinitionError(f"{changed.__name__} must be called …Changed, after what has changed")
    return name.removesuffix(CHANGED)


def names_of(contract: type[Event]) -> list[str]:
    """The key's name and those of the fields; a contract's first field is its key."""
    return [field.name for field in contract_fields(contract) if field.name != VERSION]


@dataclass(frozen=True)
class Publication:
    """A table of ours that others may copy."""

    model: type[Published]
    changed: type[Event]
    deleted: type[Event]

    @property
    def name(self) -> str:
        return name_of(self.changed)

    @property
    def key(self) -> str:
        return names_of(self.changed)[0]

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(names_of(self.changed)[1:])


@dataclass(frozen=True)
class Copy:
    """A table of ours that holds some fields of another service's."""

    model: type[CopiedRow]
    changed: type[Event]
    deleted: type[Event]

    @property
    def name(self) -> str:
        return snake_case(self.model.__name__)

    @property
    def service(self) -> str:
        """Whose rows these are."""
        return self.changed.service

    @property
    def source(self) -> str:
        return name_of(self.changed)

    @property
    def key(self) -> models.Field[Any, Any]:
        pk = self.model._meta.pk
        assert pk is not None
        return pk

    @property
    def fields(self) -> tuple[str, ...]:
        """What of the contract it holds."""
        ours = self.model._meta.concrete_fields
        return tuple(f.name for f in ours if not f.primary_key and f.name not in OF_EVERY_COPY)


publications: dict[str, Publication] = {}
copies: dict[str, Copy] = {}


def publish(model: type[Published], changed: type[Event], deleted: type[Event]) -> None:
    """Let others copy the fields that `changed` names: its first field is the model's primary key."""
    publication = Publication(model, changed, deleted)
    publications[publication.name] = publication
    # What goes past the ORM's instances is found at the relay's next look.
    for signal in (post_save, post_delete):
        signal.connect(call_relay, sender=model)


def keep(model: type[CopiedRow], changed: type[Event], deleted: type[Event]) -> None:
    """Keep a copy, with those fields of `changed` that the model has; `subscriptions.py` lets the events be heard."""
    copy = Copy(model, changed, deleted)
    copies[copy.name] = copy


def call_relay(**_: Any) -> None:
    transaction.on_commit(notifier.notify_relay)
