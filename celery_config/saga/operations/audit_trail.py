"""The audit trail of operators' actions: who, when, why, and the result (rule 25, parked)."""

from __future__ import annotations

from celery_config.errors import OperatorRefused
from celery_config.saga.models import OperatorAction, SagaInstance, WatchedRow

EFFECT_LENGTH = 300


def check_reason(why: str) -> None:
    """Raise OperatorRefused when nobody said why."""
    if not why.strip():
        raise OperatorRefused("say why: it is kept with your name")


def written(
    verb: str,
    *,
    by: str,
    why: str,
    effect: str,
    what: str = "",
    row: WatchedRow | None = None,
) -> OperatorAction:
    """Keep it, in the transaction in which it was done.

    Args:
        what: it was done to, where that is not the whole flow.
        row: the flow that it was done to.
        effect: what came of it, in words; cut after 300 characters.
    """
    return OperatorAction.objects.create(
        saga=row if isinstance(row, SagaInstance) else None,
        subject=row.subject if row else "",
        verb=verb,
        what=what,
        by=by,
        why=why,
        effect=effect[:EFFECT_LENGTH],
    )
