"""Cancelling an order, orchestrated or choreographed."""

from __future__ import annotations

from celery_config.saga.engine import runner
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.states import Status
from order_project.choreography.flow import CHOREOGRAPHIES
from order_project.errors import TooLate
from order_project.models import Order


def ask_to_cancel(*, order: Order, reason: str) -> Status:
    """Stop the order; what was done is then undone. Harmless when it is stopping, or cancelled, already.

    Raises:
        TooLate: the money was taken, the order is completed, or it is parked.
    """
    row, flow = (order.saga, SAGAS) if order.saga else (order.pk, CHOREOGRAPHIES)
    status = runner.request_stop(row, code="cancelled", reason=reason, flow=flow)
    if status not in (Status.STOPPING, Status.COMPENSATED):
        raise TooLate(f"The order cannot be cancelled any more: it is {status}.")
    return status
