"""Tables of people's access: hashes of their tokens, what they changed, and what was shipped to groups."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from knox.models import AbstractAuthToken
from knox.settings import CONSTANTS

from celery_config.common.identifiers import uuid7
from celery_config.db.functions import Now


class UserToken(AbstractAuthToken):
    """One of a user's tokens. The token itself is known to its owner alone; its name says what it is for."""

    token_key = None  # a part of the token in plain text, by which knox would look for it
    id = models.UUIDField(primary_key=True, default=uuid7)
    digest = models.CharField(max_length=CONSTANTS.DIGEST_LENGTH)
    name = models.CharField(max_length=100, blank=True, default="")
    used_at = models.DateTimeField(null=True, blank=True, help_text="to the hour")

    # Knox's own fills in its `token_key`.
    objects: ClassVar[models.Manager[Any]] = models.Manager()

    class Meta:
        verbose_name = "token"
        constraints: ClassVar = [models.UniqueConstraint(fields=["digest"], name="token_once")]

    def __str__(self) -> str:
        return self.name or "token"


class ChangeRecord(models.Model):
    """Who changed a row of the business. Append-only; `by` is a user's name, or `service:` with a caller's."""

    kind = models.CharField(max_length=40, help_text="what was changed, such as product")
    key = models.CharField(max_length=64, help_text="its id")
    what = models.JSONField(
        help_text="by field, the values before and after; of personal data only the fields"
    )
    by = models.CharField(max_length=150)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "change"
        indexes: ClassVar = [models.Index(fields=["kind", "key", "-id"], name="change_by_subject")]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} by {self.by}"


class ProviderIdentity(models.Model):
    """Which account a person of a provider has; see `sign_on_accounts`."""

    issuer = models.CharField(max_length=200)
    subject = models.CharField(max_length=255, help_text="the provider's own id of the person")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities")

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="one_account_an_identity")
        ]

    def __str__(self) -> str:
        return f"{self.subject} of {self.issuer}"


class ShippedPermission(models.Model):
    """A permission that was once given to a shipped group, and is not given again; see `groups`."""

    group = models.CharField(max_length=150, help_text="the group's name when it was shipped")
    permission = models.CharField(max_length=200, blank=True, help_text="empty: the group itself")

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [models.UniqueConstraint(fields=["group", "permission"], name="shipped_once")]

    def __str__(self) -> str:
        return f"{self.permission or 'the group'} of {self.group}"
