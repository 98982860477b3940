"""Where a service may know something of a person: declared once, to be blanked, and to be looked for afterwards."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Q

from celery_config.db import bulk
from celery_config.erasure.redaction import redact

BATCH = 1000


@dataclass(frozen=True)
class DataLocation:
    """Rows of one table that are about a customer, or about an order or saga of theirs."""

    model: type[models.Model]
    by: tuple[str, ...]
    """The fields, or paths within JSON, that hold such an id."""
    blank: Mapping[str, Any] = field(default_factory=dict)
    """What is left of a field."""
    within: tuple[str, ...] = ()
    """JSON fields, of which only what is personal is blanked."""
    where: Q = field(default_factory=Q)
    gone: bool = False
    """Nothing is left: the rows are deleted."""

    @property
    def name(self) -> str:
        """As receipts and findings call it: `payment.Payment`."""
        return self.model._meta.label

    @cached_property
    def fields(self) -> tuple[str, ...]:
        return (*self.blank, *self.within)

    def rows(self, ids: Collection[UUID]) -> models.QuerySet[Any, Any]:
        """The rows about these ids, whatever they still say."""
        texts, about = [str(each) for each in ids], Q()
        for name in self.by:
            about |= Q((f"{name}__in", texts if "__" in name else list(ids)))
        return self.model._base_manager.filter(self.where, about).order_by("pk")

    def rows_with_data(self, ids: Collection[UUID], *, locked: bool = False) -> Iterator[models.Model]:
        """Those of the rows that say something; the instances have what is to be left of them.

        Args:
            locked: until the transaction ends.
        """
        found = self.rows(ids)
        for row in found.select_for_update() if locked else found.iterator(BATCH):
            if self.gone or self.leave(row):
                yield row

    def leave(self, row: Any) -> bool:
        """Blank the instance; whether there was anything to blank."""
        changed = False
        for name in self.fields:
            column = self.model._meta.get_field(name).attname  # type: ignore[union-attr]
            before = getattr(row, column)
            after = redact(before) if name in self.within else self.blank[name]
            setattr(row, column, after)
            changed |= before != after
        return changed

    def forget(self, ids: Collection[UUID]) -> int:
        """Blank the rows about these ids, or delete them; return how many said something."""
        if self.gone:
            deleted, _ = self.rows(ids).delete()
            return deleted
        telling = list(self.rows_with_data(ids, locked=True))
        if telling:
            bulk.update(self.model, telling, self.fields)
        return len(telling)
