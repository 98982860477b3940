"""Columns of tables that are published or copied."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F


class KeyField(models.CharField):  # type: ignore[type-arg]
    """A text key that sorts by its bytes on every database, so that two services agree on the order of their rows."""

    def db_parameters(self, connection: Any) -> Any:
        collation = "C" if connection.vendor == "postgresql" else None
        return {**super().db_parameters(connection), "collation": collation}


class SetByTrigger:
    """What an instance has of it may be old: saving the instance leaves it as it is."""

    attname: str

    def pre_save(self, instance: models.Model, add: bool) -> Any:
        return getattr(instance, self.attname) if add else F(self.attname)


class VersionField(SetByTrigger, models.PositiveIntegerField):  # type: ignore[type-arg]
    """Counts the changes of a row's published fields, without a gap, from 1."""


class ChangedAtField(SetByTrigger, models.DateTimeField):  # type: ignore[type-arg]
    """When its version was counted, by its own database's clock."""
