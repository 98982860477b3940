"""Tables of notifications: who is told what, what stands, and each message with what became of it."""

from __future__ import annotations

import secrets
from base64 import b64encode
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models

from celery_config.common.conditions import KIND_WORDS, ConditionKind, Severity
from celery_config.common.identifiers import abbreviate_id, uuid7
from celery_config.db.functions import Now
from celery_config.notifications.addresses import check_emails, check_secret, check_url, hide_path

LONGEST_CAUSE = 300
LONGEST_SENTENCE = 1000
LONGEST_ERROR = 500


class Channel(models.TextChoices):
    """How a message is sent."""

    EMAIL = "email", "e-mail"
    WEBHOOK = "webhook", "webhook"


class Message(models.TextChoices):
    """What a message says of an incident."""

    OPENED = "opened", "it stands"
    CONTINUES = "continues", "it still stands"
    OVER = "over", "it is over"
    TEST = "test", "a test"


class Outcome(models.TextChoices):
    """What became of a message."""

    DUE = "due", "to be sent"
    SENT = "sent", "sent"
    FAILED = "failed", "given up"


def list_kinds() -> list[tuple[str, str]]:
    """Return the kinds of conditions with their words; a new one needs no migration."""
    return [(kind.value, KIND_WORDS[kind]) for kind in ConditionKind]


def make_secret() -> str:
    """Return a new secret for signing webhooks, as Standard Webhooks writes it."""
    return f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"


class NotificationRule(models.Model):
    """Who is told of which conditions, and how often."""

    name = models.CharField(max_length=80, unique=True)
    enabled = models.BooleanField(default=True)
    channel = models.CharField(max_length=7, choices=Channel, default=Channel.EMAIL.value)
    emails = models.TextField(blank=True, default="", help_text="of e-mail: addresses, separated by commas")
    url = models.CharField(
        max_length=500, blank=True, default="", help_text="of a webhook: the address to which it is sent"
    )
    secret = models.CharField(
        max_length=120,
        default=make_secret,
        help_text="of a webhook: what signs it; the receiver has it, too (Standard Webhooks)",
    )
    kinds: models.JSONField[Any, Any] = models.JSONField(
        default=list, blank=True, help_text="which conditions; none: all of them"
    )
    least_severity = models.CharField(
        max_length=6,
        choices=[(each.value, each.value) for each in Severity],
        default=Severity.TICKET.value,
        help_text="page: only what somebody looks at now; ticket: also what can wait until today",
    )
    repeat_seconds = models.PositiveIntegerField(
        default=4 * 3600, help_text="while it lasts and is not acknowledged; 0: it is not repeated"
    )
    from_environment = models.BooleanField(
        default=False, editable=False, help_text="made from NOTIFY_EMAILS, which it follows"
    )

    class Meta:
        verbose_name = "rule"
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def target(self) -> str:
        """Where its messages go, for all who read: a webhook's whole address is only for those who may change it."""
        return self.emails if self.channel == Channel.EMAIL else hide_path(self.url)

    def clean(self) -> None:
        """
        Raises:
            ValidationError: it names no address, or one to which nothing is sent.
        """
        unknown = {*self.kinds} - {*ConditionKind}
        if unknown:
            raise ValidationError({"kinds": f"there is no condition {', '.join(sorted(map(str, unknown)))}"})
        if self.channel == Channel.EMAIL:
            check_emails("emails", self.emails)
        else:
            check_url("url", self.url)
            check_secret("secret", self.secret)

    def wants(self, kinds: list[str], severity: str) -> bool:
        """Whether it is told of a condition of these kinds."""
        wanted = not self.kinds or bool({*kinds} & {*self.kinds})
        return self.enabled and wanted and Severity(severity).reaches(Severity(self.least_severity))


class Incident(models.Model):
    """A condition from when it was seen first until it is over; one cause has one that is open."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    source = models.CharField(max_length=40, help_text="which look finds it, and says when it is over")
    kind = models.CharField(max_length=12, choices=list_kinds)
    cause = models.CharField(max_length=LONGEST_CAUSE, help_text="what tells it from others of its kind")
    severity = models.CharField(max_length=6, choices=[(each.value, each.value) for each in Severity])
    sentence = models.CharField(max_length=LONGEST_SENTENCE, help_text="what stands and why")
    link = models.CharField(max_length=1000, help_text="the page with the act")
    count = models.PositiveIntegerField(default=1)
    facts: models.JSONField[Any, Any] = models.JSONField(
        default=dict, help_text="money, times, further kinds"
    )
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    tell_at = models.DateTimeField(db_default=Now(), help_text="what is over before wakes no one")
    over_at = models.DateTimeField(null=True, blank=True)
    settled = models.BooleanField(default=False, help_text="whether nothing more is ever sent of it")
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=150, blank=True, db_default="", default="")
    note = models.TextField(blank=True, db_default="", default="", help_text="of who acknowledged it")

    class Meta:
        default_permissions = ("view", "change")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["kind", "cause"], condition=models.Q(over_at__isnull=True), name="one_open_incident"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["-first_seen_at"], name="incident_by_age"),
            models.Index(fields=["over_at"], name="incident_over", condition=models.Q(over_at__isnull=False)),
            models.Index(fields=["id"], name="incident_unsettled", condition=models.Q(settled=False)),
        ]

    def __str__(self) -> str:
        return f"incident {abbreviate_id(self.id)}"

    @property
    def kinds(self) -> list[str]:
        """All kinds that it is."""
        return [self.kind, *self.facts.get("also", [])]


class Delivery(models.Model):
    """One message of an incident to one rule's addresses. The unique row makes two processes send it once."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    incident = models.ForeignKey(
        Incident, on_delete=models.CASCADE, null=True, related_name="deliveries", db_index=False
    )
    # What is sent names the addresses of the moment; without its rule a message has none.
    rule = models.ForeignKey(
        NotificationRule, on_delete=models.SET_NULL, null=True, related_name="deliveries"
    )
    target = models.CharField(max_length=500, help_text="where it goes")
    message = models.CharField(max_length=9, choices=Message)
    number = models.PositiveIntegerField(default=0, help_text="of the repeats of one message")
    outcome = models.CharField(max_length=6, choices=Outcome, default=Outcome.DUE.value)
    attempts = models.PositiveIntegerField(default=0, validators=[MinValueValidator(0)])
    next_at = models.DateTimeField(db_default=Now(), null=True, help_text="when it is tried next")
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=LONGEST_ERROR, blank=True, db_default="", default="")

    class Meta:
        verbose_name_plural = "deliveries"
        default_permissions = ("view", "change")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["incident", "rule", "message", "number"], name="one_delivery_of_a_message"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_at"], name="delivery_due", condition=models.Q(outcome="due")),
            models.Index(fields=["-created_at"], name="delivery_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.get_message_display()}, to {self.target}"
