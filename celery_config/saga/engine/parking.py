"""What is parked has an owner, a time by which they decide, and a fingerprint as others with its fault (rule 25)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.utils import timezone

from celery_config.errors import OperatorRefused
from celery_config.saga.models import Parkable, SagaInstance, SagaStep
from celery_config.saga.states import Status, StepState

# What is an order's own and not the fault's: ids, numbers, tokens.
OWN = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b[a-z]+_[0-9a-f]{16,}\b|\d+", re.IGNORECASE)

UNOWNED = "only what is parked has an owner; this one is {}"


def park(row: SagaInstance) -> None:
    """Give the locked `row`, which has just been parked, what its page needs; the caller saves it."""
    steps = list(row.steps.all())
    assign(row, fingerprint(row, steps), expiries(steps))
    row.cause = {**row.cause, "parked": f"driven {row.attempt} times without coming to an end"}


def assign(row: Parkable, parked_by: str, held_until: Iterable[datetime] = ()) -> None:
    """Let somebody decide about a row, in time; the caller saves it.

    Args:
        parked_by: in words that are the same for all with the same fault; cut after 200 characters.
        held_until: when what it holds outside is let go of by its holder.
    """
    row.owner = settings.PARKED_OWNER
    row.answer_by = min([timezone.now() + timedelta(hours=settings.PARKED_ANSWER_HOURS), *held_until])
    row.fingerprint = parked_by[:200]


def unpark(row: Parkable) -> None:
    """It goes on; nobody has to decide any more."""
    row.owner, row.answer_by, row.fingerprint = "", None, ""


def take_over(row: Parkable, status: str, by: str) -> str:
    """Make somebody the owner of a locked row; return what that changes.

    Raises:
        OperatorRefused: it is not parked.
    """
    if status != Status.PARKED:
        raise OperatorRefused(UNOWNED.format(status))
    effect, row.owner = f"owner {row.owner} to {by}", by
    row.save(update_fields=["owner"])
    return effect


def expiries(steps: Iterable[SagaStep]) -> list[datetime]:
    """When what the steps hold outside is let go of by its holder."""
    told = [s.reply.get("expires_at") for s in steps if s.logged == StepState.DONE and s.reply]
    return [datetime.fromisoformat(at) for at in told if at]


def fingerprint(row: SagaInstance, steps: Iterable[SagaStep]) -> str:
    """What parked it, in words that are the same for every saga with the same fault."""
    failed = next((s for s in steps if s.failure and s.logged != StepState.UNDONE), None)
    if failed is None:
        silent = next((s.name for s in steps if not s.logged), "its end")
        return f"{row.name}: no word of {silent}"[:200]
    return given_up(row.name, failed.name, failed.failure)


def given_up(flow: str, step: str, failure: Mapping[str, Any]) -> str:
    """Which step was given up and why, in words that are the same for all with the same fault."""
    # What an outside system wrote is told by its saga; here it would only set equal faults apart.
    reason = OWN.sub("#", failure.get("reason", "").partition("{")[0]).strip()
    return f"{flow}: {step} ({failure.get('operation')}) {failure.get('code')}: {reason}"[:200]


def parkables() -> list[type[Any]]:
    """Every table whose rows may be parked; each has `status`, `since` and `due_at`, as sagas have."""
    return [kind for kind in apps.get_models() if issubclass(kind, Parkable) and not kind._meta.proxy]
