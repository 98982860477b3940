"""Tables of the proof: how far orders were proved, promises that were found broken, and a statement of each day."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from celery_config.common.identifiers import abbreviate_id
from celery_config.db.functions import Now
from celery_config.db.settled_time import SettledTime
from celery_config.messaging.models import DealtWithRow


class ProofMark(SettledTime):
    """How far orders were proved (one row). One relay holds it at a time."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    proved_to = models.DateTimeField(help_text="every order that ended until then was proved")
    passed_at = models.DateTimeField(null=True, help_text="when a pass ended last")
    waits_since = models.DateTimeField(
        null=True, help_text="when the oldest order ended that could not be proved; empty: none waits"
    )
    holder = models.UUIDField(null=True, help_text="the relay that proves")
    held_until = models.DateTimeField(null=True, help_text="another one may take over then")

    def __str__(self) -> str:
        return f"proved to {self.proved_to}"


class BrokenPromise(DealtWithRow):
    """What the services together say of an order that must not be, in words."""

    order = models.UUIDField()
    ended_at = models.DateTimeField(help_text="when the order ended")
    what = models.CharField(max_length=300)
    found_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "broken promise"
        ordering: ClassVar = ["-found_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["order", "what"], name="promise_broken_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["-found_at", "-id"], name="broken_promise_by_age"),
            models.Index(fields=["ended_at"], name="broken_promise_by_end"),
            models.Index(
                fields=["found_at"],
                name="broken_promise_open",
                condition=models.Q(dealt_with_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"order {abbreviate_id(self.order)}: {self.what}"


class DailyStatement(models.Model):
    """What was proved of one day (UTC): kept for good."""

    day = models.DateField(primary_key=True)
    orders = models.PositiveIntegerField(help_text="that ended on this day; each was proved")
    violations = models.PositiveIntegerField(help_text="orders of which a promise was broken")
    books = models.CharField(
        max_length=200, help_text="whether the provider's and the carrier's books agreed with ours"
    )
    copies = models.CharField(
        max_length=200, help_text="whether the services' copies agreed with their sources"
    )
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "daily statement"
        ordering: ClassVar = ["-day"]

    def __str__(self) -> str:
        found = f"{self.violations} violation{'s' * (self.violations != 1)}"
        return f"{self.day}: {self.orders} orders, {found}, books {self.books}"
