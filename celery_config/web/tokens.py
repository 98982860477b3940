"""User tokens: their owner gets one for a password and can end each; a new password ends them all.

Only a hash of a token is kept. Knox makes and hashes the tokens; they are looked up by their hash, with one statement.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from knox.models import get_digest_token

from celery_config.web.models import UserToken

log = structlog.get_logger(__name__)
MOST_TOKENS = 100
"""Of one user; one more ends the one that was not used for the longest time."""


def issue_token(user: Any, name: str = "") -> tuple[UserToken, str]:
    """Commit a new token for a user; return its row, and the token, which nothing can show again."""
    digest, token = get_digest_token()
    own, now = UserToken.objects.filter(user=user), timezone.now()
    expiry = now + timedelta(days=settings.TOKEN_DAYS)
    with transaction.atomic():
        own.filter(expiry__lt=now).delete()
        row = UserToken.objects.create(user=user, name=name, digest=digest, expiry=expiry)
        by_use = own.order_by(Coalesce("used_at", "created").desc(), "-id")
        own.filter(pk__in=list(by_use.values_list("pk", flat=True)[MOST_TOKENS:])).delete()
    return row, token


def note_use(token: UserToken, now: datetime) -> None:
    """Write that the token is used in this hour, once an hour; a database that takes no writes refuses no login."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    if token.used_at is not None and token.used_at >= hour:
        return
    unused = UserToken.objects.filter(Q(used_at__lt=hour) | Q(used_at__isnull=True), pk=token.pk)
    try:
        with transaction.atomic():
            unused.update(used_at=hour)
    except DatabaseError as error:
        log.warning("the use of a token is not noted", error=str(error))


class TokenRevoker:
    """Stands among the password validators: Django tells those of a new password, and not of a new hash of it."""

    def validate(self, password: str, user: Any = None) -> None:
        """Any password will do."""

    def get_help_text(self) -> str:
        return "A new password ends all tokens of the account."

    def password_changed(self, password: str, user: Any) -> None:
        UserToken.objects.filter(user=user).delete()
