"""A parked saga has an owner, a time by which they decide, and a fingerprint that it shares with its like (rule 25)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from celery_config.saga.machine import Logged
from celery_config.saga.models import SagaInstance, SagaStep

# What is an order's own and not the fault's: ids, numbers, tokens.
OWN = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b[a-z]+_[0-9a-f]{16,}\b|\d+", re.IGNORECASE)


def park(row: SagaInstance) -> None:
    """Give the locked `row`, which has just been parked, what its page needs; the caller saves it."""
    steps = list(row.steps.all())
    row.owner = settings.PARKED_OWNER
    row.answer_by = min([timezone.now() + timedelta(hours=settings.PARKED_ANSWER_HOURS), *expiries(steps)])
    row.fingerprint = fingerprint(row, steps)
    row.cause = {**row.cause, "parked": f"driven {row.attempt} times without coming to an end"}


def unpark(row: SagaInstance) -> None:
    """It goes on; nobody has to decide any more."""
    row.owner, row.answer_by, row.fingerprint = "", None, ""


def expiries(steps: Iterable[SagaStep]) -> list[datetime]:
    """When what the steps hold outside is let go of by its holder."""
    told = [s.reply.get("expires_at") for s in steps if s.logged == Logged.DONE and s.reply]
    return [datetime.fromisoformat(at) for at in told if at]


def fingerprint(row: SagaInstance, steps: Iterable[SagaStep]) -> str:
    """What parked it, in words that are the same for every saga with the same fault."""
    failed = next((s for s in steps if s.failure and s.logged != Logged.UNDONE), None)
    if failed is None:
        silent = next((s.name for s in steps if not s.logged), "its end")
        return f"{row.name}: no word of {silent}"[:200]
    why: dict[str, Any] = failed.failure
    # What an outside system wrote is told by its saga; here it would only set equal faults apart.
    reason = OWN.sub("#", why.get("reason", "").partition("{")[0]).strip()
    return f"{row.name}: {failed.name} ({why.get('operation')}) {why.get('code')}: {reason}"[:200]
