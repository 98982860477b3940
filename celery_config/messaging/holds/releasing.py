"""Letting go of held messages: what no hold covers any more is sent by the relay, the oldest flows first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from django.db.models import Q, QuerySet

from celery_config.db.functions import Now, cached_sql
from celery_config.messaging.holds.hold_list import read_holds
from celery_config.messaging.holds.targets import KnownHold
from celery_config.messaging.models import HELD, OutboxMessage
from celery_config.messaging.outbox import notifier

log = structlog.get_logger(__name__)
BATCH = 1000


@cached_sql
def select_held_messages() -> QuerySet[OutboxMessage, Any]:
    """The statement of the messages that are held."""
    return OutboxMessage.objects.filter(HELD).values("pk")


def release_messages() -> bool:
    """Release a batch of the messages that no hold of the list covers; return whether there may be more.

    A worker that holds a message after its hold was let go has an older list; the next look finds that message.
    """
    ids = list(find_free(read_holds(afresh=True)).order_by("saga", "id").values_list("pk", flat=True)[:BATCH])
    released = OutboxMessage.objects.filter(HELD, pk__in=ids).update(hold=None, due_at=Now()) if ids else 0
    if released:
        log.info("let go", messages=released)
        notifier.notify_relay()
    return len(ids) == BATCH


def find_free(holds: Sequence[KnownHold]) -> QuerySet[OutboxMessage, Any]:
    """The held messages whose hold has ended, or has let go of their flow."""
    free = ~Q(hold__in=[hold.id for hold in holds])
    for hold in holds:
        if hold.let_go_to is not None:
            free |= Q(hold=hold.id, saga__lte=hold.let_go_to)
    return OutboxMessage.objects.filter(HELD).filter(free)


def count_held_messages() -> int:
    """How many messages of this service are held."""
    return OutboxMessage.objects.filter(HELD).count()


def check_holds() -> str:
    """Say what is held here; a warning, since it moves only when somebody lets it go.

    Who holds it and why is for people with a login: anybody may ask this.
    """
    holds, held = read_holds(), count_held_messages()
    if not holds and not held:
        return "ok"
    told = "; ".join(f"{hold.label} is held since {hold.since:%Y-%m-%d %H:%M} UTC" for hold in holds)
    waiting = f"{held} message{'' if held == 1 else 's'} held here"
    return f"warning: {'; '.join(filter(None, (told, waiting)))}"
