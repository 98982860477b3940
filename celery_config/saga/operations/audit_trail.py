"""The trail of what operators did: who, when, why, and what came of it (rule 25)."""

from __future__ import annotations

from celery_config.errors import OperatorRefused
from celery_config.saga.models import OperatorAction, SagaInstance

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
    saga: SagaInstance | None = None,
    subject: str = "",
) -> OperatorAction:
    """Keep it, in the transaction in which it was done.

    Args:
        what: it was done to, where that is not the whole saga or order.
        subject: what it is about, if no saga says that.
        effect: what came of it, in words; cut after 300 characters.
    """
    return OperatorAction.objects.create(
        saga=saga,
        subject=saga.subject if saga else subject,
        verb=verb,
        what=what,
        by=by,
        why=why,
        effect=effect[:EFFECT_LENGTH],
    )
