"""Place-order as clients place it: over HTTP, through the order service's web."""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID

from celery_config.common.service_calls import OPERATOR
from celery_config.common.services import ORCHESTRATOR
from celery_config.http.service_client import ServiceClient
from tests.bench.goods import ADDRESS, CURRENCY, TOKEN
from tests.bench.order_side import Lines, OrderSide


def make_side() -> OrderSide:
    web = ServiceClient(ORCHESTRATOR, caller=OPERATOR)

    def place(customer: UUID, lines: Lines) -> None:
        body = {
            "customer": str(customer),
            "lines": [{"sku": line.sku, "quantity": line.quantity} for line in lines],
            "currency": CURRENCY,
            "payment_token": TOKEN,
            "address": asdict(ADDRESS),
        }
        web.post("/api/orders/", body)

    return OrderSide(place)
