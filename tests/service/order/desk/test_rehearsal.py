"""The bad day on purpose: never in production, and only orders whose failure is known lose the day of patience."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from celery_config.messaging.models import OutboxMessage
from celery_config.sandbox.fates import FATES, End
from celery_config.sandbox.goods import CURRENCY, GOODS, SOLD_OUT
from order_project.desk import rehearsal
from order_project.desk.faults import FaultsRefused
from order_project.desk.rehearsal import Part
from order_project.domain import Flow
from order_project.models import CatalogueProduct, Choreography, Order, OrderLine
from tests.service.order.conftest import Shop

FAILURE = {
    "operation": "undo",
    "code": "unknown_outcome",
    "reason": "the provider answered 500",
    "step": "payment.authorize_payment",
}


@pytest.fixture
def production(settings: Any) -> None:
    settings.ENVIRONMENT = "production"


@pytest.fixture
def goods(shop: Shop) -> None:
    """The little shop's goods, among others that nobody can carry."""
    for good in (*GOODS, SOLD_OUT):
        CatalogueProduct.objects.create(
            sku=good.sku, name=good.name, price=good.price, currency=CURRENCY, weight_grams=good.weight_grams,
            active=True, version=1,
        )  # fmt: skip


@pytest.mark.parametrize("command", [["rehearse"], ["place"], ["place", "--fate", "declined"]])
def test_nothing_is_broken_in_production(shop: Shop, production: None, command: list[str]) -> None:
    with pytest.raises(CommandError, match="this is production"):
        call_command(*command)
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    "act", [rehearsal.send_unknown_task, lambda: rehearsal.carry_out({}, lambda _: None)]
)
def test_no_part_of_it_works_in_production(production: None, act: Callable[[], Any]) -> None:
    with pytest.raises(FaultsRefused):
        act()


@pytest.mark.parametrize("flow", [*Flow])
def test_orders_are_placed_from_the_terminal(goods: None, flow: Flow) -> None:
    out = StringIO()
    call_command("place", "--count", "3", "--fate", "declined", "--flow", flow.value, stdout=out)
    assert "place: 3 placed, 0 refused; shall happen: The card is declined" in out.getvalue()
    assert {order.flow for order in Order.objects.all()} == {flow}
    assert {*OrderLine.objects.values_list("sku", flat=True)} <= {good.sku for good in GOODS}
    assert {*out.getvalue().split()[:3]} == {str(pk) for pk in Order.objects.values_list("pk", flat=True)}


def test_each_fate_and_each_cause_is_played(shop: Shop) -> None:
    parts = rehearsal.list_parts()
    assert {part.fate.name for part in parts} == {*FATES}
    assert {(part.flow, part.silent) for part in parts if part.fate.end is End.PARKED} == {
        (Flow.ORCHESTRATED, False), (Flow.ORCHESTRATED, True), (Flow.CHOREOGRAPHED, False),
    }  # fmt: skip


def test_nobody_waits_for_what_takes_minutes() -> None:
    (long,) = [part for part in rehearsal.list_parts() if not part.waited_for]
    assert long.fate.name == "never"
    assert rehearsal.has_ended(long, "running")
    assert not rehearsal.has_ended(Part(FATES["fine"]), "running")


def test_only_what_failed_or_is_silent_on_purpose_is_parked(shop: Shop) -> None:
    told, quiet, silent = (shop.order() for _ in range(3))
    choreographed = shop.place(flow=Flow.CHOREOGRAPHED).order
    for each in (told, quiet, silent):
        each.set(status="stopping", cause={"code": "cancelled", "step": "", "reason": "as asked"})
    told.saga.steps.filter(name="authorize-payment").update(failure=FAILURE)
    Choreography.objects.filter(pk=choreographed).update(status="stopping", failure=FAILURE)
    fate = FATES["void-fails"]
    rehearsal.park_failing(
        {
            told.id: Part(fate), quiet.id: Part(fate), silent.id: Part(fate, silent=True),
            choreographed: Part(fate, Flow.CHOREOGRAPHED),
        }
    )  # fmt: skip
    assert [each.saga.status for each in (told, quiet, silent)] == ["parked", "stopping", "parked"]
    assert told.saga.fingerprint == "the payment provider answered 500 when asked to void the payment"
    assert silent.saga.fingerprint.startswith("nothing was heard of ")
    row = Choreography.objects.get(pk=choreographed)
    assert (row.status, row.fingerprint) == ("parked", told.saga.fingerprint)


def test_what_is_not_played_is_left_alone(shop: Shop) -> None:
    other = shop.order()
    other.set(status="stopping")
    other.saga.steps.filter(name="authorize-payment").update(failure=FAILURE)
    rehearsal.park_failing({uuid4(): Part(FATES["void-fails"])})
    assert other.saga.status == "stopping"


def test_the_dead_letter_is_a_task_that_shipment_does_not_know(shop: Shop) -> None:
    task = rehearsal.send_unknown_task()
    row = OutboxMessage.objects.get(name=rehearsal.UNKNOWN_TASK)
    assert row.payload["options"]["task_id"] == str(task)
    assert row.route.startswith("tasks/shipment") or "shipment" in row.route
