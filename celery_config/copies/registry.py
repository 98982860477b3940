"""The registry of publications and copies: each service declares them in its `copies.py`, one line each.

publish(Customer, CustomerChanged, CustomerDeleted)
keep_copy(CatalogueProduct, ProductChanged, ProductDeleted)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from django.db import models, transaction
from django.db.models.signals import post_delete, post_save

from celery_config.contracts.base import Event, Value, contract_fields, is_required, snake_case
from celery_config.copies.models import CopiedRow, Published
from celery_config.errors import DefinitionError
from celery_config.messaging.outbox import notifier

COMMON_FIELDS = {field.name for field in CopiedRow._meta.local_fields}
VERSION, CHANGED = "version", "_changed"


def name_rows(changed: type[Event]) -> str:
    """The name of the rows that these events are about: `product` for ProductChanged."""
    name = snake_case(changed.__name__)
    if not name.endswith(CHANGED):
        raise DefinitionError(f"The name of {changed.__name__} must end with Changed")
    return name.removesuffix(CHANGED)


def field_names(contract: type[Event]) -> list[str]:
    """The fields of a contract without its version; the first one is the key."""
    return [field.name for field in contract_fields(contract) if field.name != VERSION]


def list_later_parts(contract: type[Event]) -> frozenset[str]:
    """The parts of the contract's values that came after its first release: those with a default."""
    kinds = {kind for hint in get_type_hints(contract).values() for kind in (hint, *get_args(hint))}
    values = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Value)]
    return frozenset(part.name for kind in values for part in contract_fields(kind) if not is_required(part))


@dataclass(frozen=True)
class Publication:
    """A table of this service that others may copy."""

    model: type[Published]
    changed: type[Event]
    deleted: type[Event]

    @property
    def name(self) -> str:
        return name_rows(self.changed)

    @property
    def key(self) -> str:
        return field_names(self.changed)[0]

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(field_names(self.changed)[1:])


@dataclass(frozen=True)
class Copy:
    """A table of this service that holds some fields of another service's table."""

    model: type[CopiedRow]
    changed: type[Event]
    deleted: type[Event]

    @property
    def name(self) -> str:
        return snake_case(self.model.__name__)

    @property
    def service(self) -> str:
        """The service that owns the source."""
        return self.changed.service

    @property
    def source(self) -> str:
        return name_rows(self.changed)

    @property
    def key(self) -> models.Field[Any, Any]:
        pk = self.model._meta.pk
        assert pk is not None
        return pk

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the contract that the copy holds."""
        ours = self.model._meta.concrete_fields
        return tuple(f.name for f in ours if not f.primary_key and f.name not in COMMON_FIELDS)


publications: dict[str, Publication] = {}
copies: dict[str, Copy] = {}


def publish(model: type[Published], changed: type[Event], deleted: type[Event]) -> None:
    """Let others copy the fields that `changed` names; its first field is the model's primary key."""
    publication = Publication(model, changed, deleted)
    publications[publication.name] = publication
    # Changes that send no signal are published at the relay's next look.
    for signal in (post_save, post_delete):
        signal.connect(notify_relay_after_commit, sender=model)


def keep_copy(model: type[CopiedRow], changed: type[Event], deleted: type[Event]) -> None:
    """Keep a copy of the fields of `changed` that the model has; `subscriptions.py` must subscribe to both events."""
    copy = Copy(model, changed, deleted)
    copies[copy.name] = copy


def notify_relay_after_commit(**_: Any) -> None:
    transaction.on_commit(notifier.notify_relay)
