"""The facts of a flow come from the order service's own database, with three queries for any number of flows."""

from __future__ import annotations

from typing import Any

import pytest

from celery_config.contracts.inventory import InventoryFetched
from celery_config.contracts.payment import PaymentReceived, PaymentReleased
from celery_config.contracts.shipment import ShipmentFailed
from celery_config.saga.engine.step_log import LoggedStep, merge_entries
from celery_config.saga.models import SagaInstance
from celery_config.saga.operations.explanation import explain
from celery_config.saga.operations.flow_reader import read_flow, read_flows
from celery_config.saga.operations.strip import draw_strip
from celery_config.saga.states import StepState
from order_project.domain import Flow
from order_project.models import Choreography, SeenEvent
from tests.service.order.conftest import REPLIES, Shop

pytestmark = pytest.mark.django_db


def test_a_new_order_is_told(shop: Shop) -> None:
    placed = shop.order()
    placed.log_as("done", "authorize-payment")
    facts = read_flow(placed.saga)
    assert explain(facts).text == "On its way: inventory is asked to reserve the stock."
    assert [cell.state for cell in draw_strip(facts)][:3] == ["done", "calling now", "not yet"]
    assert (facts.noun, facts.steps[0].amount, facts.started_at) == (
        "order",
        "€17.85",
        placed.saga.started_at,
    )


def test_a_version_that_this_code_does_not_know_is_told(shop: Shop) -> None:
    placed = shop.order()
    placed.set(version=99)
    assert "place-order version 99 is unknown to this code" in explain(read_flow(placed.saga)).text


def test_what_was_undone_is_told_from_what_never_ran_even_in_one_batch(shop: Shop) -> None:
    placed = shop.order()
    outcomes = [
        ("authorize-payment", StepState.DONE),
        ("authorize-payment", StepState.UNDONE),
        ("reserve-stock", StepState.UNDONE),
        ("book-shipment", StepState.UNDONE),
    ]
    merge_entries(
        LoggedStep(placed.saga_id, step, outcome, REPLIES[step] if outcome is StepState.DONE else None)
        for step, outcome in outcomes
    )
    placed.set(status="compensated", due_at=None)
    states = [cell.state for cell in draw_strip(read_flow(placed.saga))]
    assert states[:3] == ["undone", "undone", "never ran"], "the second may have been called"


def test_any_number_of_flows_takes_three_queries(shop: Shop, django_assert_num_queries: Any) -> None:
    for _ in range(3):
        shop.order()
        shop.place(flow=Flow.CHOREOGRAPHED)
    for model in (SagaInstance, Choreography):
        rows = list(model.objects.all())
        with django_assert_num_queries(3):
            assert len(read_flows(rows)) == 3
    assert read_flows([]) == {}


def test_a_choreographed_order_is_told(shop: Shop) -> None:
    row = Choreography.objects.get(pk=shop.place(flow=Flow.CHOREOGRAPHED).order)
    assert explain(read_flow(row)).text == "On its way: payment is asked to authorize the payment."
    refused = {"code": "address_unreachable", "reason": "no delivery to AQ"}
    seen: dict[type[Any], dict[str, Any]] = {
        PaymentReceived: {},
        InventoryFetched: {},
        ShipmentFailed: refused,
    }
    for kind, content in seen.items():
        SeenEvent.objects.create(choreography=row, kind=kind.wire_name(), content=content)
    row.status, row.cause = "stopping", {"step": ShipmentFailed.wire_name(), **refused}
    assert explain(read_flow(row)).text == (
        "No delivery to AQ, so the order is being cancelled: payment is asked to void the payment. €17.85 is held."
    )
    states = [cell.state for cell in draw_strip(read_flow(row))]
    assert states == ["undoing now", "held", "refused", "never ran", "never ran", "never ran"]
    SeenEvent.objects.create(choreography=row, kind=PaymentReleased.wire_name(), content=refused)
    states = [cell.state for cell in draw_strip(read_flow(row))]
    assert states == ["undone", "undoing now", "refused", "never ran", "never ran", "never ran"]
