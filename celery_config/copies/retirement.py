"""Retirement: a row is deleted with the final version, so that nothing brings it back.

No event and no rebuild has a newer version. The source cannot insert the key again either: the version would continue
after the tombstone's, which does not fit into PostgreSQL's column; on SQLite the trigger refuses it.
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
    """Write final tombstones for these keys, existing or not; return how many rows were there."""
    live = copy.model.objects.filter(pk__in=keys).count()
    now = functions.fetch_now()
    apply_rows(copy, [RowVersion(str(key), FINAL_VERSION, now, None) for key in keys])
    return live


def retire_rows(publication: Publication, keys: Collection[Any]) -> int:
    """Delete published rows for good and announce it to all copies; return how many there were.

    Call it in a transaction.
    """
    deleted, _ = publication.model._base_manager.filter(pk__in=keys).delete()
    now = functions.fetch_now()
    final = {"source": publication.name, "version": FINAL_VERSION, "deleted_at": now}
    Tombstone.objects.bulk_create(
        [Tombstone(key=str(key), **final) for key in keys],
        update_conflicts=True,
        unique_fields=["source", "key"],
        update_fields=["version", "deleted_at"],
    )
    events = (publication.deleted(**{publication.key: key, "version": FINAL_VERSION}) for key in keys)
    writing.add_events(
        writing.cloud_event(event, subject=str(getattr(event, publication.key))) for event in events
    )
    return deleted
