"""What a page, a client or a terminal reads of a batch: how many flows stand where, and their money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Sum

from celery_config.saga.batches.models import Batch, BatchItem


@dataclass(frozen=True)
class BatchPart:
    """Flows of a batch that stand alike."""

    state: str
    would_be: str
    outcome: str
    count: int


@dataclass(frozen=True)
class BatchMoney:
    """The money of the flows of which the dry run says the same, in minor units of `currency`."""

    would_be: str
    state: str
    currency: str
    amount: int


@dataclass(frozen=True)
class BatchReason:
    """Why flows were refused or left alone."""

    state: str
    reason: str
    count: int


MOST_REASONS = 20


def read_parts(batch: Batch) -> list[BatchPart]:
    """Return how many flows stand where; the largest part first."""
    by = ("state", "would_be", "outcome")
    rows = BatchItem.objects.filter(batch=batch).order_by().values(*by).annotate(count=Count("pk"))
    return sorted((BatchPart(**row) for row in rows), key=lambda part: -part.count)


def read_money(batch: Batch) -> list[BatchMoney]:
    """Return the sums of what the flows hold, have taken or may hold."""
    items = BatchItem.objects.filter(batch=batch, amount__isnull=False).order_by()
    rows = items.values("would_be", "money_state", "currency").annotate(sum=Sum("amount"))
    return [
        BatchMoney(row["would_be"], row["money_state"], row["currency"], int(row["sum"]))
        for row in rows.order_by("would_be", "currency")
    ]


def read_reasons(batch: Batch) -> Sequence[BatchReason]:
    """Return why flows were refused or left alone, the most frequent first; at most `MOST_REASONS`."""
    items = BatchItem.objects.filter(batch=batch).exclude(reason="").order_by()
    rows = items.values("state", "reason").annotate(count=Count("pk")).order_by("-count")
    return [BatchReason(**row) for row in rows[:MOST_REASONS]]
