"""Dead letters of the rehearsal: for each act that an operator has, a letter that it fits."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from celery import current_app
from django.db import transaction
from django.db.models import Q

from celery_config.broker.topology import route_task
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox import writing
from celery_config.saga.models import DeadLetter, LetterAct, SagaInstance
from order_project.desk.faults import require_sandbox

LETTER_SECONDS = 60.0
LOOK_SECONDS = 0.2
UNKNOWN_TASK = "shipment.weigh_parcel"
"""As if an order service were newer than the shipment service."""
SET_ASIDE_FAULT = "the broker closed the connection because of it, as rehearsed"
ADVICE: Mapping[LetterAct, str] = {
    LetterAct.REBUILD: "No worker can read it, so it cannot be sent again: its order makes a new message.",
    LetterAct.SEND: "Nothing is wrong with it: it goes out as it is, and its order is undone.",
    LetterAct.DISMISS: "No worker knows its task, and it belongs to no order: there is nothing to mend.",
}
"""What there is to see in the letter that an act fits best."""


class LetterMissing(Exception):
    """A message did not become a dead letter in time; the text names it."""


@dataclass(frozen=True)
class RehearsedLetter:
    """A dead letter of the rehearsal, and the act that fits it best."""

    letter: DeadLetter
    act: LetterAct


def has_dead_letters() -> bool:
    """Whether the broker keeps what no worker can run; the one of files does not."""
    return not str(current_app.conf.broker_url).startswith("filesystem")


def send_unknown_task() -> UUID:
    """Send the shipment service a task that it does not know, which becomes a dead letter; return its id."""
    require_sandbox()
    task_id = uuid4()
    options = {"task_id": str(task_id), **route_task("shipment", UNKNOWN_TASK, urgent=False)}
    with transaction.atomic():
        writing.add_task({"task": UNKNOWN_TASK, "args": [], "kwargs": {}, "options": options}, saga=None)
    return task_id


def spoil_message(saga: SagaInstance, act: LetterAct) -> None:
    """Let the message that is promised of a saga become a dead letter that the act fits.

    Args:
        act: to rebuild it, it goes out with a part missing, as from another release, and its service refuses it; to
            send it again, it is whole and set aside, as if the broker had not taken it.
    """
    (row,) = OutboxMessage.objects.filter(saga=saga.pk)
    if act == LetterAct.SEND:
        row.fault = SET_ASIDE_FAULT
    else:
        row.payload |= {"args": []}
    row.save(update_fields=["fault", "payload"])


def wait_for_letters(unknown: UUID, sagas: Mapping[UUID, LetterAct]) -> Sequence[RehearsedLetter]:
    """Wait until each message has become a dead letter, and return the letters.

    Args:
        unknown: the id of the task that no worker knows.
        sagas: those of which a message was spoiled, with the act that fits its letter.

    Raises:
        LetterMissing: one did not.
    """
    end = time.monotonic() + LETTER_SECONDS
    while True:
        found = list(DeadLetter.objects.filter(Q(task_id=str(unknown)) | Q(saga__in=sagas)).order_by("pk"))
        acts = [sagas[each.saga] if each.saga else LetterAct.DISMISS for each in found]
        missing = {LetterAct.DISMISS, *sagas.values()}.difference(acts)
        if not missing:
            return [RehearsedLetter(*each) for each in zip(found, acts, strict=True)]
        if time.monotonic() > end:
            names = " and ".join(sorted(missing))
            raise LetterMissing(f"no dead letter to {names} within {LETTER_SECONDS:.0f} s")
        time.sleep(LOOK_SECONDS)  # neither the broker nor another process gives a signal to a command
