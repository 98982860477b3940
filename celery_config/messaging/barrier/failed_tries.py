"""Failed tries: the barrier's row keeps the last one, and the order service hears of them for its history of the step.

A step that succeeds at once writes nothing of this.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid5

from django.utils import timezone

from celery_config.contracts.base import StepTried, is_told
from celery_config.errors import OutcomeUnknown, clean_text, show_error
from celery_config.messaging.barrier.steps import StepRequest
from celery_config.messaging.deliveries import FailedTry
from celery_config.messaging.models import BarrierRow
from celery_config.messaging.outbox import writing


def note_try(step: StepRequest, failed: FailedTry, *, drive: int) -> None:
    """Write a failed try to the barrier's row, and announce it; call it in a transaction.

    A step in this service's own database has no row before it is done: its message counts its tries. A wait that its
    message does not count is then passed over, since nothing would bound how often it is announced.

    Args:
        drive: the number of the drive, which tells tries of the same number apart.
    """
    next_at = timezone.now() + timedelta(seconds=failed.next_in) if failed.next_in is not None else None
    code, reason = describe_error(failed.error)
    # One that is locked is being settled by a twin: it is not waited for, since a lock that does not come in time looks
    # like a database that is away.
    row = BarrierRow.objects.select_for_update(skip_locked=True).filter(key=step.key).first()
    if row:
        row.tries = row.tries + 1 if row.tried == step.operation else 1
        row.tried, row.last_error, row.next_try_at = step.operation, f"{code}: {reason}", next_at
        row.save(update_fields=["tries", "tried", "last_error", "next_try_at"])
    elif not failed.is_counted:
        return
    number = row.tries if row else failed.number
    if next_at is None or is_told(number):
        event = StepTried(
            step=step.name, operation=step.operation, number=number, code=code, reason=reason, next_at=next_at
        )
        event_id = uuid5(step.id, f"tried/{drive}/{number}")
        writing.add_events(
            [writing.cloud_event(event, subject=step.subject, saga=step.saga, event_id=event_id)]
        )


def describe_error(error: Exception) -> tuple[str, str]:
    """Return the code and the words of an error; secrets were cut where the call was made (`cut_private`)."""
    code = "unknown_outcome" if isinstance(error, OutcomeUnknown) else "error"
    return code, clean_text(show_error(error, str), show_error(error)[:100])
