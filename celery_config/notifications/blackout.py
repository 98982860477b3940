"""Blackout: while order's database is away there are no rules and no rows; NOTIFY_EMAILS are told of that, and no more.

What was told is in the memory of the process: two notifiers tell it twice.
"""

from __future__ import annotations

import time
from datetime import timedelta
from uuid import uuid4

import structlog
from django.conf import settings
from django.utils import timezone

from celery_config.common.services import ORCHESTRATOR
from celery_config.notifications.channels import SendFailed, send_email
from celery_config.notifications.texts import Notice
from celery_config.web.elsewhere import admin_url

log = structlog.get_logger(__name__)
SENTENCE = (
    "The notifier cannot work with the order service's database: as a rule it is away, or takes no writes. Then no"
    " order is accepted or driven, and nothing else is told."
)
ADVICE = "Start the database, free its disk, or end what made it read-only; /readyz of the order service says which."


class Blackout:
    """Follows whether looks succeed.

    Args:
        patience: for how many seconds they fail before somebody is told.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.since: float | None = None
        self.is_told = False

    def note_failure(self) -> None:
        """A look has failed."""
        now = time.monotonic()
        self.since = now if self.since is None else self.since
        if not self.is_told and now - self.since >= self.patience:
            self.is_told = self.tell("opened")

    def note_success(self) -> None:
        """A look has succeeded: if somebody was told, it is over, unless that cannot be sent now."""
        if self.is_told and not self.tell("over"):
            return
        self.since, self.is_told = None, False

    def tell(self, message: str) -> bool:
        """Send it to NOTIFY_EMAILS; return whether it needs no other try."""
        if not settings.NOTIFY_EMAILS:
            return True
        now = timezone.now()
        lasted = timedelta(seconds=time.monotonic() - (self.since or time.monotonic()))
        notice = Notice(
            message=message,
            now=now,
            sentence=SENTENCE,
            advice=ADVICE,
            severity="page",
            since=now - lasted,
            over_at=now if message == "over" else None,
            link=admin_url(ORCHESTRATOR),
            page=admin_url(ORCHESTRATOR),
        )
        try:
            send_email(", ".join(settings.NOTIFY_EMAILS), notice, f"blackout_{uuid4().hex}")
        except SendFailed as error:
            log.warning("no message can be sent that the database is away", error=str(error))
            return False
        return True
