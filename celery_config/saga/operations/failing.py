"""What is on its way and fails again and again, by cause: it is shown before it waits for a decision.

A few queries for each kind of flow. The happy path has no failed tries, so that nothing is found without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from celery_config.common.grouping import group_by
from celery_config.saga.engine.flows import WatchedFlow, find_flow, flows
from celery_config.saga.flow_facts import AGAIN_AND_AGAIN, Failing, find_failing
from celery_config.saga.models import SagaClock, StepTry, WatchedRow
from celery_config.saga.operations.flow_reader import read_flows
from celery_config.saga.states import OPEN

MOST_READ = 250
"""Of a kind: those that fail are read one by one."""
MOST_POLLED = 100
"""Of a kind, for what is asked for every two seconds: a bad day must not make the board dear."""


@dataclass(frozen=True)
class FailingGroup:
    """What fails for one cause, of one kind and status."""

    kind: str
    """The model's label."""
    status: str
    line: str
    ids: Sequence[UUID]
    tries: int
    """The most of one."""
    next_at: datetime | None
    """When the first is tried again; None: now."""
    side: str
    """Who fails; groups of one side have one cause mostly, whatever it was asked for."""
    more: bool = False
    """Whether more of the kind fail than were read, perhaps for this cause."""


def read_failing(most: int = MOST_READ, *, clock: SagaClock | None = None) -> list[FailingGroup]:
    """Return what fails, the largest group first.

    Args:
        most: how many of a kind are read at most.
        clock: saga time, if it is read already.
    """
    groups = read_groups([*flows.values()], most, clock)
    return sorted(groups, key=lambda group: (-len(group.ids), group.line))


def read_groups(
    kinds: Iterable[WatchedFlow[Any, Any]], most: int, clock: SagaClock | None = None
) -> list[FailingGroup]:
    found = {flow.model._meta.label_lower: list(find_rows(flow)[: most + 1]) for flow in kinds}
    rows = [row for some in found.values() for row in some[:most]]
    facts = read_flows(rows, money=False, clock=clock)
    failing = [(row, told) for row in rows if (told := find_failing(facts[row.pk]))]
    alike = group_by(lambda each: (each[0]._meta.label_lower, each[0].status, each[1].line), failing)
    more = {kind for kind, some in found.items() if len(some) > most}
    return [make_group(*of, some, more=of[0] in more) for of, some in alike.items()]


def find_rows(flow: WatchedFlow[Any, Any]) -> QuerySet[Any, Any]:
    """The open rows of which a step was tried in vain, in no order: none has an index for it."""
    tried = StepTry.objects.filter(flow=OuterRef("pk"), number__gte=AGAIN_AND_AGAIN)
    rows: QuerySet[Any, Any] = flow.model._default_manager.filter(Exists(tried), status__in=OPEN)
    return rows.order_by()


def make_group(
    kind: str, status: str, line: str, some: Sequence[tuple[WatchedRow, Failing]], *, more: bool
) -> FailingGroup:
    told = [failing for _, failing in some]
    times = [each.next_at for each in told]
    return FailingGroup(
        kind,
        status,
        line,
        [row.pk for row, _ in some],
        max(each.tries for each in told),
        None if None in times else min(filter(None, times)),
        told[0].side,
        more,
    )


def find_failing_ids(model: type[WatchedRow], line: str) -> tuple[list[UUID], bool]:
    """Return the ids of what fails for one cause, and whether more of the kind fail than were read."""
    groups = [group for group in read_groups([find_flow(model)], MOST_READ) if group.line == line]
    return [pk for group in groups for pk in group.ids], any(group.more for group in groups)
