"""The table behind erasure; the same in every database."""

from __future__ import annotations

from django.db import models

from celery_config.db.functions import Now


class Forgotten(models.Model):
    """A customer who was forgotten, or an order or saga of theirs: a tombstone, by which what comes late is known."""

    id = models.UUIDField(primary_key=True, help_text="of a customer, or of an order or saga of theirs")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "forgotten"

    def __str__(self) -> str:
        return str(self.id)
