"""What waits for a decision, what is on its way and since when, for the board and the terminal.

Each function reads the order service's own database alone, with one query, or a few for each kind of flow.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any

from django.db.models import Count, Min, QuerySet, Sum, Value

from celery_config.saga.engine.flows import WatchedFlow, flows
from celery_config.saga.flow_facts import FlowFacts
from celery_config.saga.models import DeadLetter, ParkedSaga, SagaClock, WatchedRow
from celery_config.saga.operations import held_money
from celery_config.saga.operations.explanation import Explanation, explain
from celery_config.saga.operations.flow_reader import read_flows
from celery_config.saga.operations.held_money import Money
from celery_config.saga.operations.selectors import ParkedGroup, count_group, merge_group
from celery_config.saga.states import OPEN, Status

OLDEST = 5


@dataclass(frozen=True)
class Waiting:
    """What is parked for one cause, and the money that it holds as far as our own database knows."""

    group: ParkedGroup
    money: list[Money]


@dataclass(frozen=True)
class OpenCount:
    """How many flows of a kind are on their way with one status."""

    kind: str
    status: str
    count: int


@dataclass(frozen=True)
class OnItsWay:
    """A flow that has not ended, and what is known of it."""

    row: WatchedRow
    facts: FlowFacts

    @property
    def explanation(self) -> Explanation:
        """The sentence that says what it waits for, and why."""
        return explain(self.facts)


def read_waiting() -> list[Waiting]:
    """Return what is parked by cause, what is due first at the top; one query."""
    parts: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for part in unite(query_waiting(flow) for flow in flows.values()):
        parts[part["kind"], part["fingerprint"]].append(part)
    found = [
        Waiting(merge_group(kind, fingerprint, some), held_money.add_up(some))
        for (kind, fingerprint), some in parts.items()
    ]
    return sorted(found, key=lambda each: (each.group.answer_by is None, each.group.answer_by))


def query_waiting(flow: WatchedFlow[Any, Any]) -> QuerySet[Any, Any]:
    """The parked rows of one kind, counted by cause, owner and what became of their money."""
    parked: QuerySet[Any, Any] = flow.model._default_manager.filter(status=Status.PARKED).order_by()
    counted: QuerySet[Any, Any] = (
        held_money.annotate_money(flow, parked)
        .annotate(kind=Value(flow.model._meta.label_lower))
        .values("kind", "fingerprint", "owner", "state", "currency")
        .annotate(**count_group(), amount=Sum(held_money.AMOUNT))
    )
    return counted


def read_open_counts() -> list[OpenCount]:
    """Return how many flows of each kind are on their way, by status; one query."""
    counted = unite(query_open(flow) for flow in flows.values())
    return [OpenCount(row["kind"], row["status"], row["count"]) for row in counted]


def query_open(flow: WatchedFlow[Any, Any]) -> QuerySet[Any, Any]:
    rows: QuerySet[Any, Any] = flow.model._default_manager.filter(status__in=OPEN).order_by()
    kind = Value(flow.model._meta.label_lower)
    counted: QuerySet[Any, Any] = (
        rows.annotate(kind=kind).values("kind", "status").annotate(count=Count("pk"))
    )
    return counted


def read_oldest(limit: int = OLDEST, *, clock: SagaClock | None = None) -> list[OnItsWay]:
    """Return the open flows whose deadline comes first; two queries for each kind of flow, and one or two.

    Args:
        clock: saga time, if it is read already.
    """
    rows: list[WatchedRow] = []
    for flow in flows.values():
        # By the deadline: an order that an index has would make the database look for the open ones through all.
        rows += flow.model._default_manager.filter(status__in=OPEN).order_by("deadline_at")[:limit]
    oldest = sorted(rows, key=lambda row: row.deadline_at)[:limit]
    facts = read_flows(oldest, clock=clock)
    return [OnItsWay(row, facts[row.pk]) for row in oldest]


def count_dead_letters() -> tuple[int, datetime | None]:
    """Return how many dead letters no operator has dealt with, and when the oldest came."""
    found = DeadLetter.objects.filter(dealt_with_at__isnull=True).aggregate(
        n=Count("pk"), at=Min("received_at")
    )
    return found["n"], found["at"]


def count_badges() -> dict[str, int]:
    """Count what is parked and which dead letters are open, by the label of the model with the page; one query."""
    rows: list[Any] = [
        flow.model._default_manager.filter(status=Status.PARKED).order_by() for flow in flows.values()
    ]
    parked = [
        each.annotate(label=Value(ParkedSaga._meta.label_lower)).values("label").annotate(n=Count("pk"))
        for each in rows
    ]
    letters = DeadLetter.objects.filter(dealt_with_at__isnull=True).order_by()
    opened = (
        letters.annotate(label=Value(DeadLetter._meta.label_lower)).values("label").annotate(n=Count("pk"))
    )
    counts: Counter[str] = Counter()
    for row in unite([*parked, opened]):
        counts[row["label"]] += row["n"]
    return dict(counts)


def unite(queries: Iterable[QuerySet[Any, Any]]) -> QuerySet[Any, Any]:
    """The rows of all queries as one query."""
    return reduce(lambda one, other: one.union(other, all=True), queries)
