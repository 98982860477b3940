"""Burying rows for ever: a tombstone of a version that none is newer than.

No event, however late, brings such a row back into a copy, no rebuild does, and its source cannot insert its key again:
the version would go on from the tombstone's, which PostgreSQL's column does not hold; SQLite's trigger says no.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from celery_config.copies.models import FINAL_VERSION, Tombstone
from celery_config.copies.ranges import RowVersion
from celery_config.copies.registry import Copy, Publication
from celery_config.copies.store import apply_rows
from celery_config.db import functions
from celery_config.messaging.outbox import writing


def tombstone_rows(copy: Copy, keys: Collection[Any]) -> int:
    """Bury rows of a copy, known or not; return how many of them were there."""
    live = copy.model.objects.filter(pk__in=keys).count()
    now = functions.fetch_now()
    apply_rows(copy, [RowVersion(str(key), FINAL_VERSION, now, None) for key in keys])
    return live


def retire_rows(publication: Publication, keys: Collection[Any]) -> int:
    """Delete rows that others copy, and let all who do bury them; return how many there were.

    A part of a transaction.
    """
    deleted, _ = publication.model._base_manager.filter(pk__in=keys).delete()
    now = functions.fetch_now()
    Tombstone.objects.bulk_create(
        [
            Tombstone(source=publication.name, key=str(key), version=FINAL_VERSION, deleted_at=now)
            for key in keys
        ],
        update_conflicts=True,
        unique_fields=["source", "key"],
        update_fields=["version", "deleted_at"],
    )
    events = [publication.deleted(**{publication.key: key, "version": FINAL_VERSION}) for key in keys]
    writing.add_events(
        writing.cloud_event(event, subject=str(key)) for key, event in zip(keys, events, strict=True)
    )
    return deleted
