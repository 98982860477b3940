"""The last orders on their way through the services: a handful of queries for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from celery_config.saga.operations.explanation import Explanation, explain
from celery_config.saga.operations.flow_reader import read_flows
from celery_config.saga.operations.strip import Cell, draw_strip
from celery_config.saga.operations.wording import describe_status
from celery_config.saga.states import ENDED, Status
from order_project import selectors
from order_project.models import Order

SHOWN = 10


@dataclass(frozen=True)
class Travel:
    """One order on its way."""

    order: Order
    status: str
    words: str
    sentence: Explanation
    cells: Sequence[Cell]
    page: str
    """The name of the admin page that shows it step by step."""
    pk: Any
    """Of the row there."""

    @property
    def is_cancellable(self) -> bool:
        return self.status == Status.RUNNING

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


def read_last(most: int = SHOWN) -> list[Travel]:
    """Return the newest orders, each with where it stands."""
    return read_travels(list(Order.objects.order_by("-created_at")[:most]))


def read_travels(orders: Sequence[Order]) -> list[Travel]:
    carried = selectors.read_flows(orders)
    facts = read_flows([*carried.values()])
    return [make_travel(order, carried[order.pk], facts) for order in orders if order.pk in carried]


def make_travel(order: Order, row: Any, facts: Any) -> Travel:
    flow = facts[row.pk]
    page = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    return Travel(
        order=order,
        status=row.status,
        words=describe_status(row.status),
        sentence=explain(flow),
        cells=draw_strip(flow),
        page=page,
        pk=row.pk,
    )
