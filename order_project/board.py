"""The order service's part of the board: how orders ended, in both flows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.http import HttpRequest

from celery_config.saga.admin.outcomes import Shown, show_outcomes
from celery_config.saga.states import Status
from celery_config.web.board import Section, find_list, needs
from order_project.domain import OrderStatus
from order_project.models import Choreography
from order_project.sagas.place_order import PlaceOrder

ENDS = {Status.COMPLETED: OrderStatus.CONFIRMED, Status.COMPENSATED: OrderStatus.CANCELLED}


def find_orders(begin: datetime, end: datetime | None, status: Status | None = None, code: str = "") -> str:
    """Return the address of the list of orders that ended in a time."""
    filters = {"ended_at__gte": begin.isoformat()}
    if end:
        filters["ended_at__lt"] = end.isoformat()
    if status:
        filters["status__exact"] = ENDS[status].value
    if code:
        filters["cancel_code__exact"] = code
    return find_list("order_order", **filters)


@needs("order.view_order")
def show_orders(request: HttpRequest) -> Iterable[Section]:
    return show_outcomes(request, Shown([PlaceOrder.name, Choreography.name], "orders", find_orders))
