"""Counting the flows of a batch: the sums are kept on its row, because to count 100,000 flows for each poll is dear."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Sum

from celery_config.db.functions import Now
from celery_config.saga.batches.models import Batch, BatchItem

ALIKE = ("state", "would_be", "outcome")
MOST_REASONS = 20


def count_flows(pk: UUID) -> None:
    """Count the flows of a batch by how they stand, and keep the sums on its row.

    The row's lock lets one count at a time, so that the last count sees what every other one saw.
    """
    with transaction.atomic():
        Batch.objects.select_for_update(no_key=True).get(pk=pk)
        items = BatchItem.objects.filter(batch=pk).order_by()
        alike = items.values(*ALIKE, "currency", held=F("money_state"))
        sums = list(alike.annotate(count=Count("pk"), amount=Sum("amount")))
        told = items.exclude(reason="").values("state", "reason").annotate(count=Count("pk"))
        reasons = list(told.order_by("-count")[:MOST_REASONS])
        Batch.objects.filter(pk=pk).update(sums=sums, reasons=reasons, counted_at=Now())


def make_first_sums(count: int, state: str) -> list[dict[str, Any]]:
    """Return the sums of a batch of which nothing is known but the number of its flows."""
    blank = dict.fromkeys((*ALIKE, "currency", "held"), "")
    return [{**blank, "state": state, "count": count, "amount": None}]
