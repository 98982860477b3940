"""The tables of messaging, the same in every service's database: barrier, outbox, inbox, keys, contradictions."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from celery_config.broker.routes import MAX_ROUTE
from celery_config.common.correlation import LONGEST_REQUEST_ID, name_request
from celery_config.common.identifiers import abbreviate_id
from celery_config.db.functions import Now
from celery_config.messaging.states import Action, Undo


class CurrentTransaction(models.Func):
    """The id of the writing transaction, by which readers know which rows are complete (rule 20, the feed)."""

    template = "(pg_current_xact_id()::text::bigint)"
    output_field = models.BigIntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[()]]:
        return "0", ()  # transactions are serial there: the id alone orders the rows


class BarrierRow(models.Model):
    """One step of one saga at this participant: its outcome and that of its undo (rules 5 to 7, the barrier)."""

    key = models.UUIDField(primary_key=True)
    saga = models.UUIDField(db_index=True)
    step = models.CharField(max_length=80)
    command = models.CharField(max_length=120)
    command_hash = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=10, choices=[(a.value, a.value) for a in Action])
    undo = models.CharField(max_length=10, blank=True, default="", choices=[(u.value, u.value) for u in Undo])
    request: models.JSONField[Any, Any] = models.JSONField(null=True, blank=True)
    reply: models.JSONField[Any, Any] = models.JSONField(null=True, blank=True)
    # Of a call: its webhook knows nothing of the message that made it.
    request_id = models.CharField(
        max_length=LONGEST_REQUEST_ID,
        blank=True,
        db_default="",
        default="",
        help_text="the request that began the flow, if the step called a provider",
    )
    note = models.TextField(
        blank=True, db_default="", default="", help_text="who settled it by hand, and why"
    )
    # Written by failed tries alone: a step that succeeds at once costs nothing more.
    tries = models.PositiveIntegerField(
        db_default=0, default=0, help_text="how often it was tried in vain, over all drives"
    )
    tried = models.CharField(
        max_length=5, blank=True, db_default="", default="", help_text="what was tried: do, undo, fence"
    )
    last_error = models.TextField(
        blank=True, db_default="", default="", help_text="of the last of these tries"
    )
    next_try_at = models.DateTimeField(
        null=True, blank=True, help_text="when the try after it is due; empty: it was the last of its drive"
    )
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "step at this service"
        verbose_name_plural = "steps at this service"
        indexes: ClassVar = [
            models.Index(
                fields=["updated_at"],
                name="barrier_open_intents",
                condition=models.Q(action="intent") | models.Q(undo="intent"),
            ),
            models.Index(fields=["-created_at"], name="barrier_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.step} of {abbreviate_id(self.saga)}"

    @property
    def log_ids(self) -> dict[str, str]:
        """The ids of a log line about it."""
        return {"saga": str(self.saga), "step": self.step, **name_request(self.request_id)}


UNSENT = models.Q(published_at__isnull=True, fault__isnull=True)
SET_ASIDE = models.Q(published_at__isnull=True, fault__isnull=False)
HELD = models.Q(hold__isnull=False)


class OutboxMessage(models.Model):
    """A message that this service has promised to send; written in the transaction that makes it true."""

    class Kind(models.TextChoices):
        TASK = "task"
        EVENT = "event"

    id = models.BigAutoField(primary_key=True)
    transaction = models.BigIntegerField(db_default=CurrentTransaction())
    kind = models.CharField(max_length=5, choices=Kind)
    name = models.CharField(max_length=120, help_text="task name or event type")
    saga = models.UUIDField(null=True, blank=True)
    payload = models.JSONField()
    route = models.CharField(
        max_length=MAX_ROUTE,
        blank=True,
        db_default="",
        default="",
        help_text="exchange and routing key; empty in rows of older versions",
    )
    due_at = models.DateTimeField(db_default=Now(), help_text="when it could first be sent; never moved")
    # NULL and not empty: a partial index serves a condition without a parameter only.
    fault = models.TextField(null=True, blank=True, help_text="why it cannot be sent: it is set aside")
    published_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    hold = models.UUIDField(
        null=True, blank=True, help_text="the operator's hold that it waits for; due once it is let go"
    )
    held_step = models.CharField(
        max_length=160, null=True, blank=True, help_text="what a held message asks for, once for each saga"
    )

    class Meta:
        verbose_name = "message to send"
        verbose_name_plural = "messages to send"
        indexes: ClassVar = [
            models.Index(fields=["due_at", "id"], name="outbox_due", condition=UNSENT),
            # For what is left while some routes are held back.
            models.Index(fields=["route", "due_at", "id"], name="outbox_by_route", condition=UNSENT),
            models.Index(fields=["id"], name="outbox_set_aside", condition=SET_ASIDE),
            models.Index(fields=["saga"], name="outbox_by_saga"),
            models.Index(fields=["transaction", "id"], name="outbox_feed", condition=models.Q(kind="event")),
            models.Index(fields=["published_at"], name="outbox_retention"),
            models.Index(fields=["hold", "saga"], name="outbox_held", condition=HELD),
        ]
        constraints: ClassVar = [
            # A service may send a sound message again and again while it is held.
            models.UniqueConstraint(fields=["saga", "held_step"], name="outbox_held_once", condition=HELD)
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name} #{self.id}"


class InboxEntry(models.Model):
    """An event that a handler has handled (rule 21, events)."""

    event = models.UUIDField()
    handler = models.CharField(max_length=120)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "event received"
        verbose_name_plural = "events received"
        constraints: ClassVar = [models.UniqueConstraint(fields=["event", "handler"], name="inbox_once")]
        indexes: ClassVar = [models.Index(fields=["received_at"], name="inbox_retention")]

    def __str__(self) -> str:
        return f"{self.event} by {self.handler}"


class IdempotencyKey(models.Model):
    """A client's idempotency key and what it made; see `idempotency`. An erasure blanks hash, id and subject."""

    digest = models.CharField(primary_key=True, max_length=64, help_text="SHA-256 of client and key")
    request_hash = models.CharField(max_length=64, blank=True)
    status = models.PositiveSmallIntegerField(help_text="of the first answer")
    made = models.CharField(
        max_length=200, blank=True, db_default="", default="", help_text="id of what was made"
    )
    subject = models.UUIDField(
        null=True, blank=True, db_index=True, help_text="the order, customer or saga that it is about"
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "request with a key"
        verbose_name_plural = "requests with a key"
        indexes: ClassVar = [models.Index(fields=["created_at"], name="idempotency_key_by_time")]

    def __str__(self) -> str:
        return self.digest


class Epoch(models.Model):
    """Which history this database tells (one row); see `epochs`."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    token = models.CharField(max_length=8)
    server = models.CharField(max_length=60, blank=True, help_text="cluster and timeline of the database")
    began_at = models.DateTimeField(db_default=Now())
    why = models.CharField(max_length=300, blank=True, db_default="", default="")
    recovering_since = models.DateTimeField(
        null=True, blank=True, help_text="clients are refused until the recovery is done"
    )

    def __str__(self) -> str:
        return self.token


class Trouble(models.Model):
    """What keeps this service's messages from moving (one row for each cause); see `trouble`."""

    class Cause(models.TextChoices):
        DATABASE = "database"
        HANDLER = "handler"
        RELAY = "relay"

    cause = models.CharField(primary_key=True, max_length=10, choices=Cause)
    reason = models.CharField(max_length=200)
    since = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(help_text="until when it counts, if it is not seen again")
    count = models.PositiveIntegerField(db_default=1, default=1, help_text="how often it was seen since")

    def __str__(self) -> str:
        return f"{self.cause}: {self.reason}"


class Observation(models.Model):
    """What the relay saw last of something outside of this database (one row for each); see `observations`."""

    name = models.CharField(primary_key=True, max_length=40)
    content: models.JSONField[Any, Any] = models.JSONField()
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class HoldList(models.Model):
    """What operators hold, as the orchestrator said it last (one row); see `holds`."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    epoch = models.CharField(max_length=8, blank=True, help_text="of the orchestrator's database")
    version = models.BigIntegerField(help_text="it grows with each change")
    content: models.JSONField[Any, Any] = models.JSONField(default=list)
    at = models.DateTimeField(db_default=Now(), help_text="when it changed here")

    def __str__(self) -> str:
        return f"version {self.version}"


class CallPace(models.Model):
    """When the next call to the provider or carrier may begin (one row); see `flow_control`. Times are Unix time."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    next_at = models.FloatField(default=0.0)
    lowered_to = models.FloatField(null=True, help_text="calls a second, since a 429; empty: not lowered")
    lowered_at = models.FloatField(default=0.0)

    def __str__(self) -> str:
        return f"the next call at {self.next_at}"


DEALT_WITH = ("dealt_with_at", "dealt_with_by", "dealt_with_why")
"""What is written when an operator deals with a row."""


class DealtWithRow(models.Model):
    """A row that waits until an operator says that nothing is left to do about it."""

    dealt_with_at = models.DateTimeField(null=True, blank=True, help_text="when an operator said so")
    dealt_with_by = models.CharField(max_length=150, blank=True, db_default="", default="")
    dealt_with_why = models.TextField(blank=True, db_default="", default="")

    class Meta:
        abstract = True


class Contradiction(DealtWithRow):
    """A provider's event that contradicts our rows; it changed nothing and waits for an operator."""

    event = models.CharField(max_length=255, unique=True, help_text="the event's id, in the sender's words")
    kind = models.CharField(max_length=120)
    key = models.UUIDField(db_index=True, help_text="idempotency key of the call it tells of")
    subject = models.UUIDField(db_index=True, help_text="the order, by the sender's word")
    reason = models.TextField()
    told: models.JSONField[Any, Any] = models.JSONField()
    received_at = models.DateTimeField(db_default=Now(), db_index=True)

    def __str__(self) -> str:
        return f"{self.kind} {self.event}"
