"""The tables of copies: base classes of published and copied tables, tombstones, and the state of each copy."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from celery_config.copies.fields import ChangedAtField, KeyField, VersionField
from celery_config.db.functions import Now

MAX_KEY_LENGTH = 200
FINAL_VERSION = 2**53 - 1
"""The version of retired rows: no version is newer. It is the largest integer that every JSON parser reads exactly."""


class Published(models.Model):
    """A table whose changes its service announces; triggers write these two columns."""

    version = VersionField(
        db_default=0, editable=False, help_text="counts the changes, without a gap, from 1"
    )
    updated_at = ChangedAtField(db_default=Now(), editable=False)

    class Meta:
        abstract = True


class LiveRows(models.Manager[Any]):
    """The rows that are not deleted at the source, as far as the copy knows."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(deleted=False)


class CopiedRow(models.Model):
    """A row of another service's table; only `celery_config.copies` writes it.

    A subclass adds fields of the source's contract, under the same names. A deleted row stays as a tombstone with
    blank fields, so that a late event does not restore it.
    """

    version = models.BigIntegerField(help_text="of the row at its source")
    deleted = models.BooleanField(default=False, db_default=False)
    changed_at = models.DateTimeField(db_default=Now(), help_text="at its source")
    applied_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[LiveRows] = LiveRows()
    everything: ClassVar[models.Manager[Any]] = models.Manager()

    class Meta:
        abstract = True


class Tombstone(models.Model):
    """The version with which a published row was deleted; it stays when the key is inserted again."""

    source = models.CharField(max_length=80, help_text="what was published")
    key = KeyField(max_length=MAX_KEY_LENGTH)
    version = models.BigIntegerField()
    deleted_at = models.DateTimeField()

    class Meta:
        verbose_name = "deleted row"
        constraints: ClassVar = [models.UniqueConstraint(fields=["source", "key"], name="tombstone_once")]

    def __str__(self) -> str:
        return f"{self.source} {self.key} v{self.version}"


class CopyState(models.Model):
    """The lag of a copy when the relay last measured it, and the result of its last comparison."""

    name = models.CharField(primary_key=True, max_length=80)
    cursor = models.CharField(
        max_length=80, blank=True, default="", help_text="all changes up to here are in the copy"
    )
    epoch = models.CharField(
        max_length=8,
        blank=True,
        db_default="",
        default="",
        help_text="of the source; other epochs' events are dropped",
    )
    rebuilt_epoch = models.CharField(
        max_length=8, blank=True, db_default="", default="", help_text="the one in which it was last refilled"
    )
    behind_since = models.DateTimeField(
        null=True, blank=True, help_text="when the oldest change was made that is not in the copy"
    )
    looked_at = models.DateTimeField(null=True, blank=True, help_text="when the source was asked last")
    check_due_at = models.DateTimeField(db_default=Now())
    checked_at = models.DateTimeField(null=True, blank=True)
    rows = models.BigIntegerField(null=True, blank=True, help_text="compared")
    differing = models.BigIntegerField(null=True, blank=True, help_text="that differed")

    class Meta:
        verbose_name = "copy"
        verbose_name_plural = "copies"

    def __str__(self) -> str:
        return self.name.replace("_", " ")
