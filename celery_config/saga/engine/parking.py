"""A parked flow has an owner, a time by which they decide, and a fingerprint for similar faults (rule 25, parked)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from celery_config.saga.course import find_expiry
from celery_config.saga.models import WatchedRow

FINGERPRINT_LENGTH = 200
DRIVEN_OUT = ""
"""No drive brought it to its end: that is no cause of its own; what stands in the way is its fault."""


def park(row: WatchedRow, why: str, fault: str, replies: Iterable[Mapping[str, Any]]) -> None:
    """Give the locked `row`, which has just been parked, what its page needs; the caller saves it.

    Args:
        why: the cause, or that it is `DRIVEN_OUT`.
        fault: in words that are the same for all with the same fault; cut after 200 characters.
        replies: of steps that hold something outside; the owner decides before a holder lets go of it.
    """
    expiries = [at for reply in replies if (at := find_expiry(reply))]
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
