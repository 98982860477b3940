"""The subscriber of copies: events update the copies kept here, repeats change nothing, and a gap causes a resync."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

import structlog

from celery_config.common.grouping import group_by
from celery_config.contracts.base import encode
from celery_config.copies import resync
from celery_config.copies.ranges import RowVersion
from celery_config.copies.registry import VERSION, Copy, copies, field_names
from celery_config.copies.source_client import is_possible
from celery_config.copies.store import apply_rows, lock_epoch, read_versions
from celery_config.errors import Forged
from celery_config.messaging.inbox.subscriptions import Received

log = structlog.get_logger(__name__)


def handle_events(received: Sequence[Received]) -> None:
    """Apply these events to the copies; `subscriptions.py` of a service names this function."""
    for copy in copies.values():
        if events := [each for each in received if isinstance(each.data, (copy.changed, copy.deleted))]:
            apply_events(copy, events)


def apply_events(copy: Copy, events: Sequence[Received]) -> None:
    """Write the newest of these rows, and request from the source every row of which a version is missing.

    Events of another epoch are dropped: the source does not stand by those of an old one, and a new one begins with a
    refill.
    """
    epoch = lock_epoch(copy)
    rows = [read_event(copy, event) for event in events if is_of_epoch(event, epoch)]
    if not rows:
        return
    known = read_versions(copy, {row.key for row in rows})
    apply_rows(copy, rows)
    by_key = group_by(attrgetter("key"), rows)
    if keys := [key for key, some in by_key.items() if has_gap(known.get(key, 0), some)]:
        resync.request_rows(copy, keys)


def read_event(copy: Copy, event: Received) -> RowVersion:
    """The row that an event carries. It is the whole row, so earlier events are not needed.

    Raises:
        Forged: its version would keep out all that come after it.
    """
    data = event.data
    values = None
    if not isinstance(data, copy.deleted):
        values = tuple(encode(getattr(data, name)) for name in copy.fields)
    key = str(getattr(data, field_names(copy.changed)[0]))
    row = RowVersion(key, getattr(data, VERSION), event.envelope.time, values)
    if not is_possible(row):
        raise Forged(f"{event.envelope.type} of {key!r} has the version {row.version}, which no row can have")
    return row


def has_gap(known: int, rows: Iterable[RowVersion]) -> bool:
    """Whether a version is missing between the one that the copy has and the newest of these rows."""
    new = {row.version for row in rows if row.version > known}
    return bool(new) and max(new) - known > len(new)


def is_of_epoch(event: Received, epoch: str) -> bool:
    """Whether the event counts in the copy's epoch. An older release's event names none."""
    named = event.envelope.epoch
    if not named or not epoch or named == epoch:
        return True
    log.info("an event of another epoch is dropped", event_id=str(event.envelope.id), epoch=named)
    return False
