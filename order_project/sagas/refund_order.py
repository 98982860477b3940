"""The flow of a refund: money back for an order that was completed."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from celery_config.contracts.payment import RefundPayment
from celery_config.saga.dsl import Saga, minutes, pivot
from order_project.services import mark_refunds_paid, mark_refunds_refused


@dataclass(frozen=True, kw_only=True)
class RefundData:
    """`refund_amount` in minor units of `currency`."""

    order: UUID
    refund: UUID
    refund_amount: int
    currency: str


class RefundOrder(Saga):
    """Give money back, once."""

    name, version, deadline, data = "refund-order", 1, minutes(15), RefundData
    noun = "refund"
    steps = [pivot("refund-payment", RefundPayment)]
    on_completed, on_compensated = mark_refunds_paid, mark_refunds_refused
