"""The list of holds in this service's database, and what this process remembers of it.

The orchestrator writes its own list in the transaction that changes a hold. Each participant's relay reads it from
there. A list has a version, and counts only if it is newer, so that a late answer or a second relay changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from celery_config.db.functions import Now
from celery_config.messaging.database_gate import DATABASE_AWAY
from celery_config.messaging.holds.targets import KnownHold, decode_holds, encode_holds
from celery_config.messaging.models import HoldList

MEMORY_SECONDS = 1.0
"""How old a worker's memory of the list may be, at a scale of one."""


@dataclass(frozen=True)
class Listing:
    """A list of holds as a service gives it to another."""

    epoch: str = ""
    """Of the orchestrator's database: a version counts within one."""
    version: int = 0
    holds: list[Any] | None = None
    """None: they are those that the asker knows already."""


@dataclass
class Memory:
    holds: tuple[KnownHold, ...] = ()
    until: float = 0.0


memory = Memory()


def compute_memory_seconds() -> float:
    return float(settings.TIMES.period(MEMORY_SECONDS))


def read_holds(*, afresh: bool = False) -> Sequence[KnownHold]:
    """Return what is held. It is read at most once in `MEMORY_SECONDS`, so that nothing held costs nothing a message.

    While the database does not answer, what was read last counts; the message itself meets the same database.

    Args:
        afresh: read it now. What is about to be held may just have been let go.
    """
    now = time.monotonic()
    if afresh or now >= memory.until:
        try:
            memory.holds = decode_holds(read_row().content)
        except DATABASE_AWAY:
            if connection.in_atomic_block:
                raise
            return memory.holds
        memory.until = now + compute_memory_seconds()
    return memory.holds


def forget_holds() -> None:
    """Let the next look read the list again."""
    memory.until = 0.0


def read_row() -> HoldList:
    """Return the row of the list; an empty one if there is none yet."""
    return HoldList.objects.filter(pk=1).first() or HoldList(epoch="", version=0, content=[])


def lock_row() -> HoldList:
    """Lock the row, and make it if there is none: changes of holds come one after another."""
    HoldList.objects.bulk_create([HoldList(epoch="", version=0, content=[])], ignore_conflicts=True)
    return HoldList.objects.select_for_update().get(pk=1)


def write_holds(row: HoldList, epoch: str, holds: Sequence[KnownHold]) -> None:
    """Write the orchestrator's own list over its locked row."""
    row.epoch, row.version, row.content = epoch, row.version + 1, encode_holds(holds)
    row.at = Now()
    row.save()
    forget_holds()
    # Another thread may have read the old list meanwhile.
    transaction.on_commit(forget_holds)


def keep_listing(listing: Listing) -> bool:
    """Keep what the orchestrator says, if it is newer than what is known; return whether it is.

    Raises:
        msgspec.ValidationError: it is no list of holds.
    """
    if listing.holds is None:
        return False
    holds = decode_holds(listing.holds)
    with transaction.atomic():
        lock_row()
        newer = HoldList.objects.filter(~Q(epoch=listing.epoch) | Q(version__lt=listing.version), pk=1)
        changed = newer.update(
            epoch=listing.epoch, version=listing.version, content=encode_holds(holds), at=Now()
        )
    if changed:
        forget_holds()
    return bool(changed)
