"""Tables of batches: one row a batch, and one row for each flow or dead letter in it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from celery_config.common.identifiers import abbreviate_id, uuid7
from celery_config.db.functions import Now
from celery_config.saga.batches.states import BatchState, ItemOutcome, ItemState


class Batch(models.Model):
    """One verb on many flows of one kind, or on dead letters, as they were seen when the batch was made."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    kind = models.CharField(max_length=80, help_text="the table of the flows, or of dead letters")
    verb = models.CharField(max_length=20)
    chosen_by = models.JSONField(
        default=dict, help_text="the filters that chose the flows; or that they were named"
    )
    by = models.CharField(max_length=150)
    why = models.TextField()
    state = models.CharField(max_length=8, choices=BatchState, default=BatchState.CHECKING.value)
    note = models.CharField(
        max_length=300, blank=True, db_default="", default="", help_text="why it was paused"
    )
    one_first = models.BooleanField(help_text="whether one flow is tried before the others")
    per_minute = models.PositiveIntegerField(null=True, help_text="how many are acted on; empty: any number")
    next_at = models.DateTimeField(null=True, help_text="when the next ones are due")
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True, help_text="when the outcome of each flow was known")
    sums = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        help_text="how many flows stand where, when they were counted last",
    )
    reasons = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        help_text="why flows were refused or left alone, and how many",
    )
    counted_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "batch"
        verbose_name_plural = "batches"
        default_permissions = ("view", "add", "change")
        indexes: ClassVar = [
            models.Index(fields=["-created_at"], name="batch_by_age"),
            models.Index(fields=["id"], name="batch_unsettled", condition=models.Q(settled_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"batch {abbreviate_id(self.id)}"


class BatchItem(models.Model):
    """One flow, or one dead letter, of a batch. A batch acts only on what has not moved since it was chosen."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="items", db_index=False)
    flow: models.UUIDField[Any, Any] = models.UUIDField(
        null=True, help_text="the saga, or the choreographed order"
    )
    letter: models.BigIntegerField[Any, Any] = models.BigIntegerField(
        null=True, help_text="or the dead letter"
    )
    seen_status = models.CharField(max_length=12)
    seen_since = models.DateTimeField(
        help_text="in that status since, in saga time; of a dead letter, when it came"
    )
    state = models.CharField(max_length=10, choices=ItemState, default=ItemState.CHOSEN.value)
    claimed_until = models.DateTimeField(null=True, help_text="until then another relay leaves it alone")
    would_be = models.CharField(
        max_length=40, blank=True, db_default="", default="", help_text="what the dry run says"
    )
    reason = models.CharField(
        max_length=300, blank=True, db_default="", default="", help_text="why it was refused or left alone"
    )
    money_state = models.CharField(max_length=8, blank=True, db_default="", default="")
    currency = models.CharField(max_length=3, blank=True, db_default="", default="")
    amount = models.BigIntegerField(null=True, help_text="in minor units")
    acted_at = models.DateTimeField(null=True)
    outcome = models.CharField(
        max_length=11,
        choices=ItemOutcome,
        blank=True,
        db_default="",
        default="",
        help_text="once it is known",
    )

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["batch", "flow"], name="once_in_a_batch"),
            models.UniqueConstraint(fields=["batch", "letter"], name="letter_once_in_a_batch"),
            models.CheckConstraint(
                condition=models.Q(flow__isnull=True) ^ models.Q(letter__isnull=True),
                name="item_is_a_flow_or_a_letter",
            ),
        ]
        indexes: ClassVar = [
            # What is left to do, in its order.
            models.Index(
                fields=["batch", "state", "id"],
                name="batch_item_pending",
                condition=models.Q(state__in=[ItemState.CHOSEN.value, ItemState.CHECKED.value]),
            ),
            models.Index(
                fields=["batch"],
                name="batch_item_under_way",
                condition=models.Q(state=ItemState.ACTED.value, outcome=""),
            ),
            # The sums are counted from this index alone.
            models.Index(
                fields=["batch", "state", "would_be", "outcome", "money_state", "currency"],
                include=["amount"],
                name="batch_item_parts",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.flow or self.letter}: {self.state}"
