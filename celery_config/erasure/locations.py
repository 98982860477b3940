"""Data locations: each declares once where a table may hold personal data, for the erasure and for the audit."""

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
    """The rows of one table that are about a customer, or about an order or saga of the customer."""

    model: type[models.Model]
    by: tuple[str, ...]
    """The fields, or paths within JSON, that hold the id."""
    blank: Mapping[str, Any] = field(default_factory=dict)
    """Fields to overwrite, with the values that they get."""
    redact: tuple[str, ...] = ()
    """JSON fields in which only the personal fields of contracts are blanked."""
    where: Q = field(default_factory=Q)
    delete: bool = False
    """Delete the rows instead."""

    @property
    def name(self) -> str:
        """The table's name in receipts and findings: `payment.Payment`."""
        return self.model._meta.label

    @cached_property
    def fields(self) -> tuple[str, ...]:
        return (*self.blank, *self.redact)

    def find_rows(self, ids: Collection[UUID]) -> models.QuerySet[Any, Any]:
        """The rows about these ids, with or without personal data."""
        texts, about = [str(each) for each in ids], Q()
        for name in self.by:
            about |= Q((f"{name}__in", texts if "__" in name else list(ids)))
        return self.model._base_manager.filter(self.where, about).order_by("pk")

    def rows_with_data(self, ids: Collection[UUID], *, locked: bool = False) -> Iterator[models.Model]:
        """The rows about these ids that hold personal data; the instances come back blanked, but not saved.

        Args:
            locked: lock the rows until the transaction ends.
        """
        found = self.find_rows(ids)
        for row in found.select_for_update() if locked else found.iterator(BATCH):
            if self.delete or self.blank_row(row):
                yield row

    def blank_row(self, row: Any) -> bool:
        """Blank the instance; return whether that changed anything."""
        changed = False
        for name in self.fields:
            column = self.model._meta.get_field(name).attname  # type: ignore[union-attr]
            before = getattr(row, column)
            after = redact(before) if name in self.redact else self.blank[name]
            setattr(row, column, after)
            changed |= before != after
        return changed

    def erase(self, ids: Collection[UUID]) -> int:
        """Blank or delete the rows about these ids; return how many held personal data."""
        if self.delete:
            deleted, _ = self.find_rows(ids).delete()
            return deleted
        rows = list(self.rows_with_data(ids, locked=True))
        if rows:
            bulk.update(self.model, rows, self.fields)
        return len(rows)
