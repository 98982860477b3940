"""What a page, a client or a terminal reads of a batch: how many flows stand where, and their money."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from celery_config.common.grouping import group_by
from celery_config.common.identifiers import parse_uuid
from celery_config.saga.batches.counting import ALIKE
from celery_config.saga.batches.models import Batch, BatchItem
from celery_config.saga.batches.states import ItemState
from celery_config.saga.operations.held_money import Money, add_up
from celery_config.saga.operations.wording import end_sentence

SEPARATOR = ":"


@dataclass(frozen=True)
class BatchPart:
    """Flows of a batch that stand alike, and their money."""

    state: str
    would_be: str
    outcome: str
    count: int
    money: tuple[Money, ...]

    def name_in(self, batch: Batch) -> str:
        """Return the part's name in an address; see `find_items`."""
        return SEPARATOR.join((str(batch.pk), self.state, self.would_be, self.outcome))


@dataclass(frozen=True)
class BatchReason:
    """Why flows were refused or left alone; of those that were checked, what must be done first."""

    state: str
    reason: str
    count: int


def read_parts(batch: Batch) -> list[BatchPart]:
    """Return how many flows of a batch stand where, as they were counted last; the largest part first."""
    alike = group_by(lambda row: (row["state"], row["would_be"], row["outcome"]), batch.sums)
    parts = [
        BatchPart(state, would_be, outcome, sum(row["count"] for row in some), sum_up(some))
        for (state, would_be, outcome), some in alike.items()
    ]
    return sorted(parts, key=lambda part: -part.count)


def sum_up(rows: Iterable[Mapping[str, Any]]) -> tuple[Money, ...]:
    """Return the money of these rows, for each state of it and currency."""
    return tuple(add_up({**row, "state": row["held"]} for row in rows))


def read_reasons(batch: Batch) -> list[BatchReason]:
    """Return why flows were refused or left alone, and what must be done first, the most frequent first."""
    return [BatchReason(**row) for row in batch.reasons]


def list_warnings(batch: Batch) -> list[str]:
    """Return what must be done before the batch acts, each with the number of its flows."""
    checked = [each for each in read_reasons(batch) if each.state == ItemState.CHECKED]
    return [end_sentence(f"Of {each.count}: {each.reason}") for each in checked]


def find_items(name: str, key: str = "flow") -> QuerySet[BatchItem, Any]:
    """Return the ids of the flows of a part, or of its letters, by its name; none if it is no such name."""
    first, *alike = name.split(SEPARATOR)
    batch, items = parse_uuid(first), BatchItem.objects.none()
    if batch is not None and len(alike) == len(ALIKE):
        items = BatchItem.objects.filter(batch=batch, **dict(zip(ALIKE, alike, strict=True)))
    found: QuerySet[BatchItem, Any] = items.values(key)
    return found
