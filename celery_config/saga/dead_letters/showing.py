"""Showing a letter with what is hidden of it: the audit trail keeps who asked, and why."""

from __future__ import annotations

from django.db import transaction

from celery_config.errors import OperatorRefused
from celery_config.saga.dead_letters.reading import BodyField, read_body
from celery_config.saga.dead_letters.remedies import find_flows, name_letter
from celery_config.saga.dead_letters.sending import ERASED
from celery_config.saga.models import DeadLetter
from celery_config.saga.operations.audit_trail import check_reason, record_action

SHOW = "show a letter"


def show_letter(letter: DeadLetter, *, by: str, why: str) -> list[BodyField]:
    """Return the letter's body with all but payment tokens, once the trail has it.

    Raises:
        OperatorRefused: its body is erased, or there is no reason.
    """
    check_reason(why)
    if not letter.body:
        raise OperatorRefused(ERASED)
    row = find_flows([letter]).get(letter.saga) if letter.saga else None
    with transaction.atomic():
        record_action(
            SHOW, by=by, why=why, row=row, what=name_letter(letter), result_text="its personal data was shown"
        )
    return read_body(letter, shows_personal=True)
