"""The audit trail of operators' actions: who, when, why, and the result (rule 25, parked)."""

from __future__ import annotations

from typing import Any

from celery_config.errors import OperatorRefused
from celery_config.saga.models import OperatorAction, SagaInstance, WatchedRow

EFFECT_LENGTH = 300


def check_reason(why: str) -> None:
    """Raise OperatorRefused if the reason is empty."""
    if not why.strip():
        raise OperatorRefused("say why: it is kept with your name")


def record_action(verb: str, **about: Any) -> OperatorAction:
    """Insert the operator's action; call it in the transaction of the act. For `about` see `make_record`."""
    action = make_record(verb, **about)
    action.save(force_insert=True)
    return action


def make_record(
    verb: str,
    *,
    by: str,
    why: str,
    result_text: str,
    what: str = "",
    row: WatchedRow | None = None,
    subject: str = "",
    asked_by: str = "",
) -> OperatorAction:
    """Return the record of an operator's action; it is not inserted yet.

    Args:
        what: the step or pause, if the act is not on the whole flow.
        row: the flow.
        subject: what the act is about, if it is on no flow.
        asked_by: whose request `by` approved or declined.
        result_text: what changed and what was sent; cut after 300 characters.
    """
    return OperatorAction(
        saga=row if isinstance(row, SagaInstance) else None,
        subject=row.subject if row else subject,
        verb=verb,
        what=what,
        by=by,
        asked_by=asked_by,
        why=why,
        effect=result_text[:EFFECT_LENGTH],
    )
