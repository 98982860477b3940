"""Trouble: what keeps this service's messages from moving, in plain words (rule 17, the watchdog).

The process that has the trouble writes it down, for only so long as it may be the present state. So the service's pages
show it, whichever process has it, and the orchestrator stops no order for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection, transaction
from django.db.models import Case, F, Value, When

from celery_config.db import functions, limits
from celery_config.db.functions import Now, find_sqlstate
from celery_config.messaging.models import Trouble
from celery_config.messaging.outbox.publishing import LATE
from celery_config.messaging.outbox.relay import oldest_unpublished_seconds

log = structlog.get_logger(__name__)
Cause = Trouble.Cause
ANSWER_SECONDS = 3.0
LOCK_SECONDS = 0.1
MAX_REASON = 200
# One failure may be chance: a lock that was held for a moment.
MANY = 3
CONFLICTS = ("55P03", "40P01", "40001")
"""SQLSTATE: a lock that was not to be had in time, a deadlock, transactions that cannot be brought into an order."""
TOO_LARGE = "54"
"""The class of what a message asks too much of."""
SENTENCES = {
    Cause.DATABASE: "messages wait for another try since {since}: {reason}",
    Cause.HANDLER: "a handler has not ended since {since}, and its worker takes no more messages: {reason}",
    Cause.RELAY: "messages are sent late since {since}: {reason}",
}


def is_conflict(error: BaseException) -> bool:
    """Whether the database only had something else to do: it is no fault of the message, and counts as no try."""
    return isinstance(error, OperationalError) and find_sqlstate(error) in CONFLICTS


def note_failure(error: BaseException) -> None:
    """Note an error if it is our own database's, and not the message's."""
    if isinstance(error, (OperationalError, InterfaceError)) and find_sqlstate(error)[:2] != TOO_LARGE:
        note(Cause.DATABASE, str(error).partition("\n")[0], settings.TIMES.next_try_within)


def note_late(late: Mapping[UUID, float]) -> None:
    """Note that the relay sent messages of sagas late; what waited for them needs time when it has gone on.

    It is noted after the commit: a note that cannot be written holds up no message.

    Args:
        late: seconds, by saga.
    """
    reason = f"up to {max(late.values()):.0f} s"
    transaction.on_commit(partial(note, Cause.RELAY, reason, settings.TIMES.next_try_within))


def note(cause: Cause, reason: str, seconds: float) -> None:
    """Note a trouble that counts for so many seconds from now on; its time begins again if it was over.

    A trouble that cannot be noted is logged, and changes nothing else. It waits for no lock: messages wait meanwhile.
    """
    over = {"until__lt": Now()}
    changed: dict[str, Any] = {
        "since": Case(When(**over, then=Now()), default=F("since")),
        "count": Case(When(**over, then=Value(1)), default=F("count") + 1),
        "until": Now() + timedelta(seconds=seconds),
        "reason": reason[:MAX_REASON],
    }
    try:
        with limits.answer_within(ANSWER_SECONDS), transaction.atomic():
            limits.limit_lock_waits(LOCK_SECONDS)
            if not Trouble.objects.filter(pk=cause).update(**changed):
                first = Trouble(cause=cause, reason=reason[:MAX_REASON], until=changed["until"])
                Trouble.objects.bulk_create([first], ignore_conflicts=True)
    except Error as error:
        log.warning("a trouble is not noted", cause=cause, reason=reason, error=str(error))
        if not connection.in_atomic_block:
            connection.close()


def read_present() -> list[Trouble]:
    return list(Trouble.objects.filter(until__gte=Now()).order_by("cause"))


def describe(trouble: Trouble) -> str:
    since = f"{trouble.since:%H:%M:%S} UTC"
    return SENTENCES[Cause(trouble.cause)].format(since=since, reason=trouble.reason)


def find_all() -> Iterator[str]:
    """What an order that waits for this service may wait for; nothing here speaks of what is outside."""
    yield from map(describe, read_present())
    if (lag := oldest_unpublished_seconds()) > LATE.total_seconds():
        yield f"the relay is {lag:.0f} s behind"


def check_messages() -> str:
    """Whether this service can handle its messages; a warning, while it may be chance. The relay has its own check."""
    found = [trouble for trouble in read_present() if trouble.cause != Cause.RELAY]
    if not found:
        return "ok"
    lasting = any(trouble.cause == Cause.HANDLER or trouble.count >= MANY for trouble in found)
    return ("" if lasting else "warning: ") + "; ".join(map(describe, found))


def measure_seconds() -> dict[str, float]:
    """How long each trouble has lasted; 0 without it."""
    now = functions.fetch_now()
    lasted = {str(t.cause): (now - t.since).total_seconds() for t in read_present()}
    return {cause.value: lasted.get(cause.value, 0.0) for cause in Cause}
