"""Tombstones of erased customers: messages that arrive late or again are recognised by the ids in them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from types import SimpleNamespace
from uuid import UUID

from celery_config.db import bulk
from celery_config.erasure.models import Forgotten

BATCH = 1000
UUIDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def mark_erased(ids: Iterable[UUID]) -> None:
    """Write a tombstone for each id; call it in the transaction that erases. A repeat changes nothing."""
    bulk.insert_new(Forgotten, [SimpleNamespace(id=each) for each in sorted(ids)], ("id",), returning="id")


def erased_among(ids: Collection[UUID]) -> set[UUID]:
    """The ids that have a tombstone."""
    return set(Forgotten.objects.filter(id__in=ids).values_list("id", flat=True)) if ids else set()


def read_all_erased() -> Iterator[list[UUID]]:
    """All ids that have a tombstone, in batches."""
    rows, last = Forgotten.objects.order_by("id").values_list("id", flat=True), UUID(int=0)
    while found := list(rows.filter(id__gt=last)[:BATCH]):
        yield found
        last = found[-1]


def find_mentions(texts: Sequence[str]) -> list[bool]:
    """For each text, whether it contains an id that has a tombstone."""
    named = [{UUID(each) for each in UUIDS.findall(text)} for text in texts]
    erased = erased_among(set().union(*named))
    return [bool(ids & erased) for ids in named]
