"""What a customer who asks is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from celery_config.contracts.base import Command
from celery_config.contracts.payment import AuthorizePayment, CapturePayment
from celery_config.contracts.shipment import BookShipment, DispatchShipment
from celery_config.saga.causes import phrase_command
from celery_config.saga.dsl import StepKind
from celery_config.saga.flow_facts import FlowFacts, StepFacts
from celery_config.saga.states import Status, StepState
from order_project.domain import RefundStatus
from order_project.support.answers import (
    OrderFacts,
    answer_charge,
    answer_parcel,
    list_undoings,
    refuse_cancellation,
)

ORDER = OrderFacts(1785, "EUR", destination="London, GB")
COMMANDS: dict[type[Command], tuple[str, StepKind]] = {
    AuthorizePayment: ("payment", StepKind.COMPENSATABLE),
    BookShipment: ("shipment", StepKind.COMPENSATABLE),
    CapturePayment: ("payment", StepKind.PIVOT),
    DispatchShipment: ("shipment", StepKind.RETRIABLE),
}
FAILURE = {"operation": "do", "code": "unknown_outcome", "reason": "no answer"}


def make_flow(status: Status, *done: type[Command], **logged: Any) -> FlowFacts:
    """A flow with these steps done.

    Args:
        logged: changes of a step, by its command's name.
    """
    steps = []
    for command, (service, kind) in COMMANDS.items():
        step = StepFacts(command.__name__, service, kind, phrase_command(command), "undo it")
        if command in done:
            step = replace(step, logged=StepState.DONE, ran=True)
        steps.append(replace(step, **logged.get(command.__name__, {})))
    return FlowFacts("order", status, steps, datetime(2026, 11, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("flow", "answer"),
    [
        (make_flow(Status.RUNNING), "No, not yet."),
        (make_flow(Status.RUNNING, AuthorizePayment), "No. €17.85 is reserved on the card, and not taken."),
        (
            make_flow(Status.STOPPING, AuthorizePayment),
            "No. €17.85 is reserved on the card, and will be released.",
        ),
        (make_flow(Status.COMPENSATED), "No."),
        (
            make_flow(Status.COMPENSATED, AuthorizePayment={"logged": StepState.UNDONE, "ran": True}),
            "No. €17.85 was reserved on the card, and was released.",
        ),
        (
            make_flow(Status.COMPENSATED, AuthorizePayment={"logged": StepState.UNDONE}),
            "No. What may have been reserved on the card was released.",
        ),
        (
            make_flow(
                Status.COMPENSATED,
                AuthorizePayment={"logged": StepState.UNDONE, "refusal": {"code": "card_declined"}},
            ),
            "No.",
        ),
        (make_flow(Status.COMPLETED, *COMMANDS), "Yes, €17.85 was taken."),
        (make_flow(Status.FORWARD, AuthorizePayment, BookShipment, CapturePayment), "Yes, €17.85 was taken."),
    ],
)
def test_whether_they_were_charged(flow: FlowFacts, answer: str) -> None:
    assert answer_charge(ORDER, flow) == answer


def test_a_capture_whose_outcome_is_unknown_is_not_called_certain() -> None:
    flow = make_flow(Status.PARKED, AuthorizePayment, BookShipment, CapturePayment={"failure": FAILURE})
    assert answer_charge(ORDER, flow).startswith("It is not certain")


def test_refunds_are_told() -> None:
    refunds = [(RefundStatus.PAID, 500), (RefundStatus.ASKED, 285), (RefundStatus.REFUSED, 100)]
    order = replace(ORDER, refunds=refunds)
    told = answer_charge(order, make_flow(Status.COMPLETED, *COMMANDS))
    assert told == "Yes, €17.85 was taken. €5.00 was given back. €2.85 is being given back."
    assert order.refundable == 1000


@pytest.mark.parametrize(
    ("flow", "order", "answer"),
    [
        (make_flow(Status.RUNNING), ORDER, "It is not sent yet: the carrier is not booked."),
        (
            make_flow(Status.RUNNING, BookShipment),
            ORDER,
            "The carrier is booked to London, GB, and does not have the parcel yet.",
        ),
        (
            make_flow(Status.COMPLETED, *COMMANDS),
            replace(ORDER, tracking_number="SB-1"),
            "With the carrier, on its way to London, GB. The tracking number is SB-1.",
        ),
        (make_flow(Status.STOPPING), ORDER, "There will be none: the order is being cancelled."),
        (
            make_flow(Status.COMPENSATED),
            replace(ORDER, reason="out of stock"),
            "There is none. The order was cancelled: out of stock.",
        ),
        (
            make_flow(Status.PARKED, BookShipment={"logged": StepState.REFUSED}),
            ORDER,
            "The carrier does not take it to London, GB.",
        ),
    ],
)
def test_where_the_parcel_is(flow: FlowFacts, order: OrderFacts, answer: str) -> None:
    assert answer_parcel(order, flow) == answer


def test_a_cancellation_says_what_it_undoes_the_last_first() -> None:
    flow = make_flow(Status.RUNNING, AuthorizePayment, BookShipment, AuthorizePayment={"amount": "€17.85"})
    assert list_undoings(flow) == ["undo it", "undo it (€17.85)"]


@pytest.mark.parametrize("status", [*Status])
def test_what_runs_alone_can_be_cancelled(status: Status) -> None:
    assert (refuse_cancellation(make_flow(status)) == "") is (status is Status.RUNNING)
