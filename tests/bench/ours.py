"""Placing an order as the order service's API does it, without the HTTP around it."""

from __future__ import annotations

from uuid import UUID

from order_project.domain import Flow
from order_project.placing import place_order
from order_project.requests import OrderRequest
from tests.bench.goods import ADDRESS, CURRENCY, TOKEN
from tests.bench.placed import Lines, PlacedOrders


def side() -> PlacedOrders:
    return PlacedOrders(place)


def place(customer: UUID, lines: Lines, flow: Flow = Flow.ORCHESTRATED) -> None:
    request = OrderRequest(
        customer=customer, lines=lines, currency=CURRENCY, payment_token=TOKEN, address=ADDRESS, flow=flow
    )
    place_order(client="bench", request=request)
