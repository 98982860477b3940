"""Columns of published tables and of copies: triggers set their values, and saving an instance never resets them."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F


class KeyField(models.CharField):  # type: ignore[type-arg]
    """A text key that every database sorts by its bytes, so that two services have their rows in the same order."""

    def db_parameters(self, connection: Any) -> Any:
        collation = "C" if connection.vendor == "postgresql" else None
        return {**super().db_parameters(connection), "collation": collation}


class SetByTrigger:
    """Saving an instance leaves the column as it is, because the instance may have an old value."""

    attname: str

    def pre_save(self, instance: models.Model, add: bool) -> Any:
        return getattr(instance, self.attname) if add else F(self.attname)


class VersionField(SetByTrigger, models.PositiveIntegerField):  # type: ignore[type-arg]
    """Counts the changes of a row's published fields, from 1 and without a gap."""


class ChangedAtField(SetByTrigger, models.DateTimeField):  # type: ignore[type-arg]
    """When the row got its version, by the clock of its own database."""
