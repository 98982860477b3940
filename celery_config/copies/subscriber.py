"""The subscriber of copies: each event raises its copy, and a gap asks the source for the row. Repeats are harmless."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from celery_config.common.grouping import group_by
from celery_config.contracts.base import encode
from celery_config.copies import resync
from celery_config.copies.ranges import RowVersion
from celery_config.copies.registry import VERSION, Copy, copies, field_names
from celery_config.copies.store import apply_rows, read_versions
from celery_config.messaging.inbox.subscriptions import Received


def handle_events(received: Sequence[Received]) -> None:
    """Bring the copies kept here up to these events; what `subscriptions.py` calls. Repeats are harmless."""
    for copy in copies.values():
        if mine := [each for each in received if isinstance(each.data, (copy.changed, copy.deleted))]:
            apply_events(copy, mine)


def apply_events(copy: Copy, received: Sequence[Received]) -> None:
    """Apply events; where one is missing between what we knew and what came, ask the source for the row."""
    heard = [read_event(copy, each) for each in received]
    known = read_versions(copy, {entry.key for entry in heard})
    apply_rows(copy, heard)
    versions = group_by(lambda entry: entry.key, heard)
    if keys := [key for key, some in versions.items() if has_gap(known.get(key, 0), some)]:
        resync.request_rows(copy, keys)


def read_event(copy: Copy, received: Received) -> RowVersion:
    """An event as an entry. It brings the whole state: nothing before it need be known."""
    data = received.data
    deleted = isinstance(data, copy.deleted)
    values = None if deleted else tuple(encode(getattr(data, name)) for name in copy.fields)
    key = str(getattr(data, field_names(copy.changed)[0]))
    return RowVersion(key, getattr(data, VERSION), received.envelope.time, values)


def has_gap(known: int, entries: Iterable[RowVersion]) -> bool:
    """Whether a version is missing between the one we have and the newest that came."""
    new = {entry.version for entry in entries if entry.version > known}
    return bool(new) and max(new) - known > len(new)
