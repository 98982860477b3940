"""Place-order by the order saga: the client calls what the API of the order service calls."""

from __future__ import annotations

from uuid import UUID

from order_project.domain import Flow, RequestLine
from order_project.placing import place_order
from order_project.requests import OrderRequest
from tests.bench.goods import ADDRESS, CURRENCY, TOKEN
from tests.bench.order_side import Lines, OrderSide


def make_side() -> OrderSide:
    return OrderSide(place_one)


def place_one(customer: UUID, lines: Lines, flow: Flow = Flow.ORCHESTRATED) -> None:
    request = OrderRequest(
        customer=customer,
        lines=tuple(RequestLine(sku=line.sku, quantity=line.quantity) for line in lines),
        currency=CURRENCY,
        payment_token=TOKEN,
        address=ADDRESS,
        flow=flow,
    )
    place_order(client="bench", request=request)
