"""Placing an order as the order service's API does it, without the HTTP around it."""

from __future__ import annotations

from uuid import UUID

from celery_config.contracts.inventory import Line
from order_project.placing import OrderRequest, place_order
from tests.bench.goods import ADDRESS, CURRENCY, TOKEN


def place(*, customer: UUID, lines: tuple[Line, ...]) -> UUID:
    request = OrderRequest(
        customer=customer, lines=lines, currency=CURRENCY, payment_token=TOKEN, address=ADDRESS
    )
    return place_order(client="bench", request=request).order
