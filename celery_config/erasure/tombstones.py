"""The tombstones of whoever was forgotten: what comes late, twice or again is known by its ids."""

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
    """Never know these again; a part of the transaction that forgets them. Repeats are harmless."""
    bulk.insert_new(Forgotten, [SimpleNamespace(id=each) for each in sorted(ids)], ("id",), returning="id")


def erased_among(ids: Collection[UUID]) -> set[UUID]:
    """Those of the ids that are to be forgotten."""
    return set(Forgotten.objects.filter(id__in=ids).values_list("id", flat=True)) if ids else set()


def read_all_erased() -> Iterator[list[UUID]]:
    """The ids of all who were forgotten, some at a time."""
    last = UUID(int=0)
    while found := list(
        Forgotten.objects.filter(id__gt=last).order_by("id").values_list("id", flat=True)[:BATCH]
    ):
        yield found
        last = found[-1]


def find_mentions(texts: Sequence[str]) -> list[bool]:
    """Of each text, whether it speaks of somebody who was forgotten: it has one of their ids."""
    named = [{UUID(each) for each in UUIDS.findall(text)} for text in texts]
    forgotten = erased_among(set().union(*named))
    return [bool(ids & forgotten) for ids in named]
