"""Outcomes: what became of letters that were sent again, or whose flow was driven. A duty of the relay notes them.

A message that was refused again is a new letter with the same id. Otherwise the receiver's barrier says what became of
a command, and the flow's own status what became of all else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Max, QuerySet
from django.utils import timezone

from celery_config.common.grouping import group_by
from celery_config.db import bulk
from celery_config.db.functions import cached_sql
from celery_config.messaging.barrier.store import MOST_SAGAS
from celery_config.messaging.states import Action, Undo
from celery_config.saga.course import Held
from celery_config.saga.dead_letters.remedies import find_flows
from celery_config.saga.dead_letters.sending import list_message_ids
from celery_config.saga.models import LETTER_UNDER_WAY, DeadLetter, LetterAct
from celery_config.saga.operations import barrier_client
from celery_config.saga.states import ENDED, Status

DEAD_AGAIN = "dead again"
NOT_REFUSED = "not refused"
"""Of what has no flow: it did not come back in time."""
ANSWERED = {Action.DONE: "done", Action.REFUSED: "refused", Action.TOMBSTONE: "stopped"}
UNDONE = "undone"
COMES_BACK_SECONDS = 60.0
Answers = Mapping[UUID, Mapping[str, Held]]


@cached_sql
def select_under_way() -> QuerySet[DeadLetter, Any]:
    """The statement of the letters of which it is not known yet what became of them."""
    return DeadLetter.objects.filter(LETTER_UNDER_WAY).values("pk")


def note_outcomes() -> None:
    """Note what became of all letters of which that is not known yet, a piece at a time."""
    position = 0
    while letters := list(
        DeadLetter.objects.filter(LETTER_UNDER_WAY, pk__gt=position).order_by("pk")[:MOST_SAGAS]
    ):
        position = letters[-1].pk
        note_some(letters)


def note_some(letters: Sequence[DeadLetter]) -> None:
    returned, rows, answers = find_returned(letters), find_flows(letters), ask_barriers(letters)
    for letter in letters:
        held = answers.get(letter.queue.partition(".")[0], {}).get(letter.saga, {}) if letter.saga else {}
        row = rows.get(letter.saga) if letter.saga else None
        is_back = letter.pk in returned
        letter.became = DEAD_AGAIN if is_back else find_outcome(letter, row, held.get(letter.step))
    known = [letter for letter in letters if letter.became]
    if known:
        bulk.update(DeadLetter, known, ["became"])


def find_outcome(letter: DeadLetter, row: Any, held: Held | None) -> str:
    """Return what became of a letter that has not come back; empty: not known yet.

    Args:
        row: of its flow; None: it has none.
        held: what the barrier of the letter's service says of its step.
    """
    if letter.act == LetterAct.REBUILD:
        return str(row.status) if row and row.status in (*ENDED, Status.PARKED) else ""
    if held and letter.operation == "undo" and held.undo is Undo.DONE:
        return UNDONE
    if held and letter.operation == "do" and held.action in ANSWERED:
        return UNDONE if held.undo is Undo.DONE else ANSWERED[held.action]
    if row and row.status in ENDED:
        return str(row.status)
    if is_step(letter):
        return ""
    patience = timedelta(seconds=COMES_BACK_SECONDS * settings.TIMES.scale)
    is_late = letter.dealt_with_at and letter.dealt_with_at < timezone.now() - patience
    return NOT_REFUSED if is_late else ""


def is_step(letter: DeadLetter) -> bool:
    """Whether a participant's barrier will say what became of it."""
    service = letter.queue.partition(".")[0]
    return bool(
        letter.saga
        and letter.step
        and letter.operation in ("do", "undo")
        and letter.task.startswith(f"{service}.")
        and service in settings.SERVICE_URLS
        and service != settings.SERVICE
    )


def find_returned(letters: Sequence[DeadLetter]) -> set[int]:
    """Return those whose message became a dead letter again after it was sent again."""
    ids = {letter.pk: list_message_ids(letter) for letter in letters if letter.act == LetterAct.SEND}
    wanted = {each for some in ids.values() for each in some}
    newest = dict(
        DeadLetter.objects.filter(task_id__in=wanted)
        .order_by()
        .values_list("task_id")
        .annotate(at=Max("received_at"))
    )
    return {
        letter.pk
        for letter in letters
        if letter.dealt_with_at
        for each in ids.get(letter.pk, ())
        if each in newest and newest[each] > letter.dealt_with_at
    }


def ask_barriers(letters: Sequence[DeadLetter]) -> dict[str, Answers]:
    """Ask each participant once about the steps that were sent to it again; one that is silent is asked later."""
    steps = [each for each in letters if each.act == LetterAct.SEND and is_step(each)]
    asked = group_by(lambda each: each.queue.partition(".")[0], steps)
    found = {
        service: barrier_client.read_barriers_of_many(service, {each.saga for each in some if each.saga})
        for service, some in asked.items()
    }
    return {service: answer for service, answer in found.items() if answer}
