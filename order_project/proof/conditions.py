"""Condition of the proof, of which somebody is told: promises that are broken. A pure read."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Min

from celery_config.common.conditions import Condition, ConditionKind
from celery_config.saga.conditions import make_link
from celery_config.web.board import find_list
from order_project.proof.models import BrokenPromise


def find_broken() -> Iterator[Condition]:
    """Promises that are broken and that no operator has dealt with: one condition for all of them."""
    found = BrokenPromise.objects.filter(dealt_with_at__isnull=True).aggregate(
        count=Count("pk"), orders=Count("order", distinct=True), first=Min("found_at")
    )
    if not found["count"]:
        return
    orders = "1 order" if found["orders"] == 1 else f"{found['orders']:,} orders"
    yield Condition(
        kind=ConditionKind.PROMISE,
        cause="broken promises",
        sentence=f"What the services say of {orders} does not fit together.",
        advice="Open each order, compare what each service says of it, mend what is wrong there, and say that it is"
        " dealt with.",
        link=make_link(find_list("proof_brokenpromise", dealt_with_at__isempty=1)),
        count=found["orders"],
        since=found["first"],
    )
