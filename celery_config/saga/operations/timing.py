"""An operator changes when a flow is looked at, and by when it has to end."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from celery_config.common.moments import format_span
from celery_config.errors import OperatorRefused
from celery_config.saga.engine import clock
from celery_config.saga.engine.flows import find_flow, schedule_check
from celery_config.saga.models import OperatorAction, WatchedRow
from celery_config.saga.operations import approvals
from celery_config.saga.operations.audit_trail import check_reason, record_action
from celery_config.saga.operations.wording import describe_status
from celery_config.saga.states import OPEN, Status

LONGEST_MINUTES = 30 * 24 * 60
NO_DEADLINE = "only what is on its way and can still be undone has a deadline; this one is “{}”"
NOT_LOOKED_AT = "nothing looks at a flow that is “{}”"
HELD = "an operator holds it; let go of it first"


def look_now(seen: WatchedRow, *, by: str, why: str) -> OperatorAction:
    """Make the watchdog look at a flow in the next second, and send again what is missing.

    Args:
        seen: the row as it was read; it is locked and read again.

    Raises:
        OperatorRefused: the reason is empty, the flow is not open, or it is held.
    """
    check_reason(why)
    with transaction.atomic():
        (row,) = find_flow(type(seen)).lock([seen.pk])
        if refusal := explain_look_refusal(row):
            raise OperatorRefused(refusal)
        row.due_at = clock.now()
        row.save(update_fields=["due_at"])
        return record_action("look now", row=row, by=by, why=why, result_text="it is looked at now")


def move_deadline(seen: WatchedRow, *, minutes: int, by: str, why: str) -> OperatorAction:
    """Let a flow's deadline come in so many minutes of saga time; of one that is held, so long after it is let go.

    Raises:
        OperatorRefused: the reason is empty, the flow has no deadline, or the person has changed too many alone: one
            that comes at once stops a flow.
    """
    check_reason(why)
    with transaction.atomic():
        approvals.check_alone("deadline", by=by)
        (row,) = find_flow(type(seen)).lock([seen.pk])
        if refusal := explain_deadline_refusal(row):
            raise OperatorRefused(refusal)
        now = clock.now()
        # What was held is added when it is let go.
        row.deadline_at = (row.held_since or now) + timedelta(minutes=minutes)
        if row.held_since is None:
            schedule_check(row, now)
        row.save(update_fields=["deadline_at", "due_at"])
        left = format_span(timedelta(minutes=minutes))
        after = "after it is let go" if row.held_since else "from now"
        return record_action(
            "deadline", row=row, by=by, why=why, result_text=f"its deadline is {left} {after}"
        )


def explain_look_refusal(row: WatchedRow) -> str:
    """Return why a flow cannot be looked at; empty: it can."""
    if row.status not in OPEN:
        return NOT_LOOKED_AT.format(describe_status(row.status))
    return HELD if row.held_since else ""


def explain_deadline_refusal(row: WatchedRow) -> str:
    """Return why a flow's deadline cannot be changed; empty: it can."""
    return "" if row.status == Status.RUNNING else NO_DEADLINE.format(describe_status(row.status))
