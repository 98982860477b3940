"""Cancelling an order, orchestrated or choreographed."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from celery_config.saga.causes import CANCELLED_BY_US
from celery_config.saga.engine import runner
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.operations import approvals
from celery_config.saga.operations.audit_trail import record_action
from celery_config.saga.states import Status
from order_project import selectors
from order_project.choreography.flow import CHOREOGRAPHIES
from order_project.errors import TooLate
from order_project.models import Order

ASKED = (
    "Cancelling was asked for."
    " If the money is not taken yet, everything is undone; if it is, the order is finished."
)


def cancel_for(user: Any, *, order: Order, why: str) -> Status:
    """Stop the order for its customer, or for one of us: then name and reason are kept in the trail alone.

    Raises:
        TooLate: as `ask_to_cancel`.
        OperatorRefused: it is another's order, and the person has stopped too many alone.
    """
    name = user.get_username()
    if selectors.owns_order(user, order):
        return ask_to_cancel(order=order, reason=f"cancelled by {name}")
    with transaction.atomic():
        approvals.check_alone("compensate", by=name)
        status = ask_to_cancel(order=order, reason=CANCELLED_BY_US["reason"])
        row = selectors.read_flows([order])[order.pk]
        record_action("compensate", row=row, by=name, why=why, result_text=f"it is {status}")
    return status


def ask_to_cancel(*, order: Order, reason: str) -> Status:
    """Stop the order; what was done is then undone. Harmless when it is stopping, or cancelled, already.

    Args:
        reason: the customer reads it.

    Raises:
        TooLate: the money was taken, the order is completed, or it is parked.
    """
    row, flow = (order.saga, SAGAS) if order.saga else (order.pk, CHOREOGRAPHIES)
    status = runner.request_stop(row, code="cancelled", reason=reason, flow=flow)
    if status not in (Status.STOPPING, Status.COMPENSATED):
        raise TooLate(f"The order cannot be cancelled any more: it is {status}.")
    return status
