"""The table of holds: one row for each, kept after its end."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.db import models

from celery_config.common.identifiers import uuid7
from celery_config.db.functions import Now
from celery_config.messaging.holds.targets import KnownHold


class Hold(models.Model):
    """What an operator holds: while it lasts, no participant begins what it covers (rule 30, holds)."""

    class Kind(models.TextChoices):
        PARTICIPANT = "participant"
        PROVIDER = "provider"
        STEP = "step"
        FLOWS = "flows"

    id = models.UUIDField(primary_key=True, default=uuid7)
    kind = models.CharField(max_length=11, choices=Kind)
    name = models.CharField(max_length=120, help_text="of the participant, the provider or the step")
    label = models.CharField(max_length=200, help_text="what is held, for people")
    service = models.CharField(max_length=40, blank=True)
    commands = models.JSONField(default=list, help_text="the commands that are held")
    flows = models.JSONField(default=list, help_text="the sagas and choreographed orders that are held")
    undos = models.BooleanField(default=False, help_text="whether undos and fences are held, too")
    by = models.CharField(max_length=150)
    why = models.TextField()
    since = models.DateTimeField(db_default=Now())
    per_second = models.FloatField(null=True, help_text="how many flows are let go; empty: none yet")
    let_go_to = models.UUIDField(null=True, help_text="flows up to this id are let go")
    wave_at = models.DateTimeField(null=True, help_text="when the last wave was let go")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "hold"
        default_permissions = ("view", "add", "change")
        indexes: ClassVar = [
            models.Index(fields=["-since"], name="hold_by_age"),
            models.Index(fields=["id"], name="hold_open", condition=models.Q(ended_at__isnull=True)),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["kind", "name"],
                name="held_once",
                condition=models.Q(ended_at__isnull=True) & ~models.Q(kind="flows"),
            )
        ]

    def __str__(self) -> str:
        return self.label

    def make_known(self) -> KnownHold:
        """Return the hold as every service knows it."""
        return KnownHold(
            id=self.id,
            label=self.label,
            since=self.since,
            by=self.by,
            why=self.why,
            service=self.service,
            commands=frozenset(self.commands),
            flows=frozenset(map(UUID, self.flows)),
            undos=self.undos,
            let_go_to=self.let_go_to,
        )
