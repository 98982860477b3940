"""The subscriber of copies: each event raises its copy, and a gap asks the source for the row. Repeats are harmless."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from celery_config.common.grouping import group_by
from celery_config.contracts.base import encode
from celery_config.copies import resync
from celery_config.copies.ranges import Entry
from celery_config.copies.registry import VERSION, Copy, copies, names_of
from celery_config.copies.store import apply, known_versions
from celery_config.messaging.inbox.subscriptions import Received


def hear(received: Sequence[Received]) -> None:
    """Bring the copies kept here up to these events; what `subscriptions.py` calls. Repeats are harmless."""
    for copy in copies.values():
        if mine := [each for each in received if isinstance(each.data, (copy.changed, copy.deleted))]:
            hear_of(copy, mine)


def hear_of(copy: Copy, received: Sequence[Received]) -> None:
    """Apply events; where one is missing between what we knew and what came, ask the source for the row."""
    heard = [heard_of(copy, each) for each in received]
    known = known_versions(copy, {entry.key for entry in heard})
    apply(copy, heard)
    versions = group_by(lambda entry: entry.key, heard)
    if keys := [key for key, some in versions.items() if has_gap(known.get(key, 0), some)]:
        resync.ask(copy, keys)


def heard_of(copy: Copy, received: Received) -> Entry:
    """An event as an entry. It brings the whole state: nothing before it need be known."""
    data = received.data
    deleted = isinstance(data, copy.deleted)
    values = None if deleted else tuple(encode(getattr(data, name)) for name in copy.fields)
    key = str(getattr(data, names_of(copy.changed)[0]))
    return Entry(key, getattr(data, VERSION), received.envelope.time, values)


def has_gap(known: int, entries: Iterable[Entry]) -> bool:
    """Whether a version is missing between the one we have and the newest that came."""
    new = {entry.version for entry in entries if entry.version > known}
    return bool(new) and max(new) - known > len(new)
