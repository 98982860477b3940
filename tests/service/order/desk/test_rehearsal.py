"""The bad day on purpose: never in production, and only orders whose failure is known lose the day of patience."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from kombu.message import Message

from celery_config.messaging.models import OutboxMessage
from celery_config.saga.causes import CauseKind
from celery_config.saga.dead_letters import remedies
from celery_config.saga.dead_letters.letter import Letter
from celery_config.saga.dead_letters.reader import process_letters
from celery_config.saga.dead_letters.set_aside import keep_rows, read_rows
from celery_config.saga.engine import clock, runner, watchdog
from celery_config.saga.engine.patience import end_patience
from celery_config.saga.engine.runner import StopChainEnd
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.models import DeadLetter, LetterAct
from celery_config.saga.operations import operators
from celery_config.saga.operations.explanation import explain
from celery_config.saga.operations.flow_reader import read_flow
from celery_config.saga.operations.strip import CellState, draw_strip
from celery_config.saga.testing import list_links
from celery_config.sandbox.fates import FATES, End
from celery_config.sandbox.goods import CURRENCY, GOODS, SOLD_OUT
from order_project.desk import letters, rehearsal
from order_project.desk.faults import FaultsRefused
from order_project.desk.letters import LetterMissing
from order_project.desk.rehearsal import Part
from order_project.domain import Flow
from order_project.models import CatalogueProduct, Choreography, Order, OrderLine
from tests.service.order.conftest import Placed, Shop

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


@pytest.mark.parametrize("act", [letters.send_unknown_task, lambda: rehearsal.carry_out({}, lambda _: None)])
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


def test_each_fate_is_played_and_each_cause_or_it_says_why_not() -> None:
    parts = rehearsal.list_parts()
    assert {part.fate.name for part in parts} == {*FATES}
    played = {part.cause for part in parts if part.cause}
    assert played | rehearsal.NOT_REHEARSED.keys() == {*CauseKind}
    assert not played & rehearsal.NOT_REHEARSED.keys()
    assert all(rehearsal.NOT_REHEARSED.values())
    assert {part.flow for part in parts if part.cause} == {*Flow}


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Callable[[CauseKind], Placed]:
    """Places the order that plays a cause, and no other."""

    def place(cause: CauseKind) -> Placed:
        (part,) = [part for part in rehearsal.list_parts() if part.cause is cause and not part.letter]
        monkeypatch.setattr(rehearsal, "list_parts", lambda: [part])
        (order,) = rehearsal.place_cast(random.Random(1))
        return Placed(order)

    return place


def test_a_reservation_is_lost_that_only_the_log_knows(
    goods: None, alone: Callable[[CauseKind], Placed]
) -> None:
    placed = alone(CauseKind.LOST)
    (stop,) = placed.messages  # no service hears of anything else
    assert placed.saga.status == "stopping"
    known = {link["kwargs"]["step"]: link["kwargs"].get("known") for link in list_links(stop)}
    assert {step for step, state in known.items() if state == "done"} == {"reserve-stock"}


@pytest.mark.parametrize("cause", [CauseKind.LOST, CauseKind.SILENT])
def test_the_cause_and_the_strip_say_one_thing(
    goods: None, alone: Callable[[CauseKind], Placed], cause: CauseKind
) -> None:
    placed = alone(cause)
    if cause is CauseKind.SILENT:
        assert not placed.messages, "no service hears of it"
        end_patience(SAGAS, {placed.saga.pk})
        assert "nothing was heard of payment" in placed.saga.fingerprint
    cells = draw_strip(read_flow(placed.saga))
    states = {cell.name: cell.state for cell in cells}
    assert CellState.UNDONE not in states.values()
    if cause is CauseKind.SILENT:
        assert states["authorize-payment"] is states["capture-payment"] is CellState.IN_DOUBT
        assert {cell.reason for cell in cells} == {"nothing was heard of payment", ""}
    else:
        assert cells[0].name == "reserve-stock", "there is no reservation without what comes before it"
        assert cells[0].state is CellState.HELD
        assert states["authorize-payment"] is CellState.REFUSED, "no money has a part in it"
        assert cells[1].reason in explain(read_flow(placed.saga)).text.lower()


def test_what_is_too_large_to_be_sent_again_is_parked_by_the_watchdog_and_can_be_undone(
    goods: None, alone: Callable[[CauseKind], Placed]
) -> None:
    placed = alone(CauseKind.UNDRIVABLE)
    assert not placed.messages
    watchdog.redrive_due(SAGAS, clock.now())
    assert (placed.saga.status, placed.saga.fingerprint) == (
        "parked",
        "cannot be driven: its messages are too large",
    )
    operators.perform(placed.saga, "retry", by="ada", why="it is mended")
    saga = placed.saga
    assert (saga.status, len(placed.messages)) == ("stopping", 1)
    assert (saga.cause["code"], saga.cause["reason"]) == ("cancelled", "cancelled by us")


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
            told.id: Part(fate), quiet.id: Part(fate), silent.id: Part(fate, cause=CauseKind.SILENT),
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


@pytest.mark.parametrize(("end", "waits"), [(End.PARKED, True), (End.CANCELLED, False)])
def test_an_order_that_nothing_ends_is_parked_and_not_tried_for_a_day(
    goods: None, monkeypatch: pytest.MonkeyPatch, end: End, waits: bool
) -> None:
    fate = next(fate for fate in FATES.values() if fate.end is end)

    def fail(_: float) -> None:
        """Payment gives up while the command waits."""
        for each in [Placed(order.pk) for order in Order.objects.filter(saga__isnull=False)]:
            if each.saga.status != "running":
                continue
            each.set(status="stopping", cause={"code": "address_unreachable", "step": "", "reason": "no way"})
            each.saga.steps.filter(name="authorize-payment").update(failure=FAILURE)

    monkeypatch.setattr("order_project.desk.rehearsal.time.sleep", fail)
    call_command("place", "--count", "2", "--fate", fate.name, stdout=StringIO())
    assert {Placed(order.pk).saga.status for order in Order.objects.all()} == (
        {"parked"} if waits else {"running"}
    )


class TestLetters:
    """For each act on a dead letter there is one that it fits."""

    @pytest.fixture
    def spoiled(self, goods: None, monkeypatch: pytest.MonkeyPatch) -> dict[LetterAct, Placed]:
        parts = [part for part in rehearsal.list_parts() if part.letter]
        monkeypatch.setattr(rehearsal, "list_parts", lambda: parts)
        monkeypatch.setattr(letters, "has_dead_letters", lambda: True)
        cast = rehearsal.place_cast(random.Random(1))
        rehearsal.park_failing(cast)
        return {part.letter: Placed(order) for order, part in cast.items() if part.letter}

    def test_a_message_is_refused_by_its_service_and_its_flow_can_be_driven(
        self, spoiled: dict[LetterAct, Placed]
    ) -> None:
        placed = spoiled[LetterAct.REBUILD]
        (row,) = OutboxMessage.objects.filter(saga=placed.saga_id)
        body = row.payload["options"], row.payload["kwargs"]
        message = Message(
            body=json.dumps([row.payload["args"], body[1], {}]),
            headers={
                "task": row.payload["task"], "id": body[0]["task_id"],
                "x-death": [{"reason": "rejected", "queue": "payment.urgent", "exchange": "urgent-tasks",
                             "routing-keys": [body[0]["routing_key"]]}],
            },
            content_type="application/json", content_encoding="utf-8", accept={"application/json"},
        )  # fmt: skip
        process_letters([Letter.parse(message)])
        letter = DeadLetter.objects.get(saga=placed.saga_id)
        refused = {offer.act: offer.refused for offer in remedies.list_offers(letter)}
        assert refused == {
            "rebuild": "", "send again": "0 positional arguments instead of 1", "dismiss": "",
        }  # fmt: skip
        remedies.act_on(letter, LetterAct.REBUILD, by="ada", why="as rehearsed")
        assert (placed.saga.status, len(placed.messages)) == ("stopping", 2)

    def test_a_message_is_set_aside_and_can_be_sent_again(self, spoiled: dict[LetterAct, Placed]) -> None:
        placed = spoiled[LetterAct.SEND]
        keep_rows("order", read_rows("order"))
        letter = DeadLetter.objects.get(saga=placed.saga_id)
        assert {offer.act for offer in remedies.list_offers(letter) if not offer.refused} == {*LetterAct}
        remedies.act_on(letter, LetterAct.SEND, by="ada", why="as rehearsed")
        row = OutboxMessage.objects.get(saga=placed.saga_id)
        assert (row.fault, row.published_at, row.payload["task"]) == (None, None, "payment.fence")
        assert placed.saga.status == "parked"
        runner.end_stop_chains({placed.saga.pk: StopChainEnd({})})
        assert placed.saga.status == "compensated", "it ends, though it waited for a decision"

    def test_the_command_waits_for_each(
        self, spoiled: dict[LetterAct, Placed], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keep_rows("order", read_rows("order"))
        unknown, sagas = uuid4(), {spoiled[LetterAct.SEND].saga.pk: LetterAct.SEND}
        with monkeypatch.context() as patch:
            patch.setattr(letters, "LETTER_SECONDS", 0)
            with pytest.raises(LetterMissing, match="no dead letter to dismiss within"):
                letters.wait_for_letters(unknown, sagas)
        DeadLetter.objects.create(reason="rejected", task=letters.UNKNOWN_TASK, task_id=str(unknown))
        found = letters.wait_for_letters(unknown, sagas)
        assert [each.act for each in found] == [LetterAct.SEND, LetterAct.DISMISS]

    def test_a_broker_of_files_keeps_none(self, goods: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(letters, "has_dead_letters", lambda: False)
        cast = rehearsal.place_cast(random.Random(1))
        assert not rehearsal.list_spoiled(cast)
        assert not OutboxMessage.objects.filter(fault__isnull=False).exists()


def test_the_dead_letter_is_a_task_that_shipment_does_not_know(shop: Shop) -> None:
    task = letters.send_unknown_task()
    row = OutboxMessage.objects.get(name=letters.UNKNOWN_TASK)
    assert row.payload["options"]["task_id"] == str(task)
    assert row.route.startswith("tasks/shipment") or "shipment" in row.route
