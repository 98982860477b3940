"""A parked flow has an owner, a time by which they decide, and a fingerprint for similar faults (rule 25, parked)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from celery_config.errors import OperatorRefused
from celery_config.saga.models import WatchedRow
from celery_config.saga.states import Status

FINGERPRINT_LENGTH = 200
UNOWNED = "only what is parked has an owner; this one is {}"


def park(row: WatchedRow, why: str, fault: str, replies: Iterable[Mapping[str, Any]]) -> None:
    """Give the locked `row`, which has just been parked, what its page needs; the caller saves it.

    Args:
        fault: in words that are the same for all with the same fault; cut after 200 characters.
        replies: of steps that hold something outside; the owner decides before a holder lets go of it.
    """
    expiries = [datetime.fromisoformat(at) for reply in replies if (at := reply.get("expires_at"))]
    row.cause = {**row.cause, "parked": why}
    row.owner = settings.PARKED_OWNER
    row.answer_by = min([timezone.now() + timedelta(hours=settings.PARKED_ANSWER_HOURS), *expiries])
    row.fingerprint = make_fingerprint(fault)


def make_fingerprint(fault: str) -> str:
    """Return the line by which flows with one fault are grouped; it is the same in flows of all kinds."""
    return fault[:FINGERPRINT_LENGTH]


def unpark(row: WatchedRow) -> None:
    """Take the owner away: the row goes on, and there is nothing to decide any more."""
    row.owner, row.answer_by, row.fingerprint = "", None, ""


def take_over(row: WatchedRow, by: str) -> str:
    """Make somebody the owner of a locked row; return what that changes.

    Raises:
        OperatorRefused: it is not parked.
    """
    if row.status != Status.PARKED:
        raise OperatorRefused(UNOWNED.format(row.status))
    effect, row.owner = f"owner {row.owner} to {by}", by
    row.save(update_fields=["owner"])
    return effect
