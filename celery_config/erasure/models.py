"""The table of erasure: one tombstone for each erased id, the same in every database."""

from __future__ import annotations

from django.db import models

from celery_config.db.functions import Now


class Forgotten(models.Model):
    """An erased customer, or an order or saga of the customer. It identifies messages that arrive later."""

    id = models.UUIDField(primary_key=True, help_text="of a customer, or of an order or saga of theirs")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "forgotten"

    def __str__(self) -> str:
        return str(self.id)
