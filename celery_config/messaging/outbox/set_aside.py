"""Rows that cannot be sent are set aside; an operator has them sent again, or dismisses them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import structlog
from django.db import transaction

from celery_config.db.functions import Now
from celery_config.messaging.models import SET_ASIDE, OutboxMessage

log = structlog.get_logger(__name__)
MOST_SETTLED = 500
"""Rows that were set aside, in one call."""


def count_set_aside() -> int:
    """How many rows wait for an operator because they cannot be sent."""
    return OutboxMessage.objects.filter(SET_ASIDE).count()


def dismiss(rows: Sequence[OutboxMessage], *, by: str, why: str) -> None:
    """Let rows that were set aside be, at an operator's word: they count as published, and go after their time."""
    for row in rows:
        log.warning("an outbox row is dismissed", row=row.pk, name=row.name, fault=row.fault, by=by, why=why)
    OutboxMessage.objects.filter(SET_ASIDE, pk__in=[row.pk for row in rows]).update(published_at=Now())


def send_again(rows: Sequence[OutboxMessage], *, by: str, why: str) -> None:
    """Release rows that were set aside, at an operator's word."""
    for row in rows:
        log.warning("an outbox row is sent again", row=row.pk, name=row.name, fault=row.fault, by=by, why=why)
    OutboxMessage.objects.filter(SET_ASIDE, pk__in=[row.pk for row in rows]).update(fault=None)


def settle_set_aside(ids: Collection[int], act: str, *, by: str, why: str) -> list[int]:
    """Send rows again that were set aside, or dismiss them; return the ids of those that were set aside until now.

    Args:
        act: `send again` or `dismiss`.
    """
    with transaction.atomic():
        rows = list(OutboxMessage.objects.select_for_update().filter(SET_ASIDE, pk__in=ids).order_by("pk"))
        (send_again if act == "send again" else dismiss)(rows, by=by, why=why)
    return [row.pk for row in rows]
