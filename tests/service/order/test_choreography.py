"""Choreographed orders in the order service: announced, heard of, withdrawn, said again, parked."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from celery_config.common.identifiers import uuid7
from celery_config.common.money import money
from celery_config.contracts.base import LOST, Event, StepGaveUp, decode
from celery_config.contracts.inventory import (
    InventoryFetched,
    InventoryIssued,
    InventoryRefused,
    InventoryReturned,
)
from celery_config.contracts.order import OrderPlaced
from celery_config.contracts.payment import (
    PaymentCollected,
    PaymentReceived,
    PaymentReleased,
    PaymentRetained,
)
from celery_config.contracts.shipment import ShipmentArranged, ShipmentDeparted, ShipmentRecalled
from celery_config.contracts.values import Line
from celery_config.errors import OperatorRefused, SagaPaused
from celery_config.messaging.idempotency import KeyReused
from celery_config.messaging.inbox.subscriptions import deliver
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.states import Action, Undo
from celery_config.participant.choreography import build_event
from celery_config.saga import measures
from celery_config.saga.course import Answer, Held
from celery_config.saga.dead_letters.letter import Letter
from celery_config.saga.dead_letters.reader import process_letters
from celery_config.saga.engine import clock, watchdog
from celery_config.saga.models import DeadLetter, OperatorAction, SagaInstance
from celery_config.saga.operations import barrier_client, operators, pauses, previews, selectors
from celery_config.saga.operations.explanation import explain
from celery_config.saga.operations.flow_reader import read_flow
from order_project import cancelling, placing
from order_project.choreography.flow import CHOREOGRAPHIES
from order_project.domain import Flow
from order_project.errors import TooLate
from order_project.models import Choreography, Order, SeenEvent
from order_project.requests import OrderSubmission, Placed
from order_project.retention import forget_seen
from tests.service.order.conftest import ADDRESS, HEART, Shop
from tests.service.order.saga.dead_letters.test_reader import letter

pytestmark = pytest.mark.django_db
ID = UUID(int=7)
GOODS: dict[str, Any] = {"address": ADDRESS, "weight_grams": 1050, "parcels": 1}
PassTime = Callable[[float], None]


class Dancer:
    """One choreographed order, and what is heard of it."""

    def __init__(self, shop: Shop) -> None:
        self.id = shop.place(flow=Flow.CHOREOGRAPHED).order

    @property
    def order(self) -> Order:
        return Order.objects.get(pk=self.id)

    @property
    def row(self) -> Choreography:
        return Choreography.objects.get(pk=self.id)

    def forward(self) -> list[Event]:
        """All that is announced when all goes well."""
        lines = (Line(sku=HEART, quantity=7),)
        ids: dict[str, Any] = {"order": self.id, "payment": ID}
        return [
            PaymentReceived(**ids, lines=lines, **GOODS),
            InventoryFetched(**ids, reservation=ID, **GOODS),
            ShipmentArranged(**ids, reservation=ID, shipment=ID, tracking_number="SB-1"),
            PaymentCollected(**ids, captured_amount=1785, reservation=ID, shipment=ID),
            InventoryIssued(order=self.id, shipment=ID),
            ShipmentDeparted(order=self.id),
        ]

    def back(self) -> list[Event]:
        """All that is announced when stock was refused."""
        why = {"order": self.id, "code": "out_of_stock", "reason": "no hearts"}
        return [
            InventoryRefused(**why),
            PaymentReleased(**why),
            InventoryReturned(order=self.id),
            ShipmentRecalled(order=self.id),
        ]

    def hear(self, *events: Event, **more: Any) -> None:
        owner = more.get("step", "order").partition(".")[0]
        made = [build_event(each, order=self.id, event_id=uuid7(), **more) for each in events]
        deliver([each | {"source": f"/{owner}"} for each in made])

    def said(self) -> list[tuple[str, int]]:
        """What the order service announced, and on which drive; all of it is published then."""
        found = OutboxMessage.objects.filter(saga=self.id).order_by("id")
        told = [(each["type"], each.get("drive", 0)) for each in found.values_list("payload", flat=True)]
        found.delete()
        return told

    def set(self, **fields: Any) -> None:
        Choreography.objects.filter(pk=self.id).update(**fields)


def look() -> int:
    return watchdog.redrive_due(CHOREOGRAPHIES, clock.now())


@pytest.fixture
def dancer(shop: Shop) -> Dancer:
    return Dancer(shop)


class TestPlacing:
    def test_it_is_announced_and_has_no_saga(self, dancer: Dancer) -> None:
        (row,) = OutboxMessage.objects.all()
        placed = decode(OrderPlaced, row.payload["data"])
        assert (row.kind, placed.order, placed.amount) == ("event", dancer.id, 1785)
        assert placed.payment_token == "tok_visa"
        assert (dancer.order.saga, dancer.order.flow, dancer.row.status) == (None, "choreographed", "running")
        assert not SagaInstance.objects.exists()

    def test_both_flows_fit_in_one_batch(self, shop: Shop) -> None:
        submissions = [OrderSubmission(shop.request(flow=flow)) for flow in (*Flow, *Flow)]
        placed = placing.place_orders(client="ada", submissions=submissions)
        flows = [Order.objects.get(pk=each.order).flow for each in placed if isinstance(each, Placed)]
        assert flows == [*Flow, *Flow]
        assert (SagaInstance.objects.count(), Choreography.objects.count()) == (2, 2)

    def test_a_key_stands_for_an_order_and_its_flow(self, shop: Shop) -> None:
        first = shop.place("key", flow=Flow.CHOREOGRAPHED)
        again = shop.place("key", flow=Flow.CHOREOGRAPHED)
        assert (again.order, again.repeated) == (first.order, True)
        with pytest.raises(KeyReused):
            shop.place("key")

    def test_a_pause_holds_up_both(self, shop: Shop) -> None:
        pauses.pause(saga="place-order", by="op", why="stocktaking")
        with pytest.raises(SagaPaused):
            shop.place(flow=Flow.CHOREOGRAPHED)
        assert not Order.objects.exists()


class TestHearing:
    @pytest.mark.parametrize("seed", range(4))
    def test_all_done_in_whatever_order_it_is_heard_confirms(self, dancer: Dancer, seed: int) -> None:
        said = [*dancer.forward(), *dancer.forward()]
        random.Random(seed).shuffle(said)
        for each in said:
            dancer.hear(each)
        assert (dancer.row.status, dancer.row.due_at) == ("completed", None)
        assert (dancer.order.status, dancer.order.tracking_number) == ("confirmed", "SB-1")
        assert OutboxMessage.objects.filter(name="order.order_confirmed").count() == 1
        assert SeenEvent.objects.count() == 6

    def test_at_once_is_the_same(self, dancer: Dancer) -> None:
        dancer.hear(*dancer.forward(), *dancer.forward())
        assert dancer.order.status == "confirmed"

    def test_all_undone_cancels_with_the_reason(self, dancer: Dancer) -> None:
        dancer.hear(*dancer.forward()[:1])
        refused, *undone = dancer.back()
        dancer.hear(refused)
        assert (dancer.row.status, dancer.row.cause["code"]) == ("stopping", "out_of_stock")
        dancer.hear(*undone[:2])
        assert dancer.order.status == "placed"
        dancer.hear(undone[2])
        order = dancer.order
        assert (order.status, order.cancel_code, order.cancel_reason) == (
            "cancelled", "out_of_stock", "no hearts"
        )  # fmt: skip
        dancer.hear(*dancer.back())
        assert OutboxMessage.objects.filter(name="order.order_cancelled").count() == 1

    def test_the_money_taken_turns_it_forward(self, dancer: Dancer) -> None:
        dancer.hear(*dancer.forward()[:4])
        assert (dancer.row.status, dancer.order.status) == ("forward", "placed")

    def test_neither_lines_nor_addresses_are_kept(self, dancer: Dancer) -> None:
        dancer.hear(dancer.forward()[0])
        content = SeenEvent.objects.get().content
        assert {*content} == {"order", "payment", "weight_grams", "parcels", "expires_at"}

    def test_an_order_of_nobody_changes_nothing(self, dancer: Dancer) -> None:
        deliver([build_event(InventoryReturned(order=ID), order=ID, event_id=uuid7())])
        assert not SeenEvent.objects.exists()

    def test_what_has_ended_stays_so_when_the_rest_is_forgotten(self, dancer: Dancer) -> None:
        dancer.hear(*dancer.forward())
        Order.objects.filter(pk=dancer.id).update(ended_at=timezone.now() - timedelta(days=99))
        forget_seen()
        assert SeenEvent.objects.count() == 6  # its id is young
        SeenEvent.objects.all().delete()
        dancer.hear(dancer.back()[0])
        assert (dancer.row.status, dancer.order.status) == ("completed", "confirmed")

    def test_what_was_seen_of_an_old_order_is_forgotten(self, dancer: Dancer) -> None:
        long_ago = timezone.now() - timedelta(days=99)
        old = Order.objects.create(
            id=uuid7(long_ago), customer=dancer.order.customer, currency="EUR", total=1, weight_grams=1,
            address={}, ended_at=long_ago, status="confirmed",
        )  # fmt: skip
        row = Choreography.objects.create(
            order=old, placed={}, since=long_ago, deadline_at=long_ago, status="completed"
        )
        SeenEvent.objects.create(choreography=row, kind="x", content={})
        dancer.hear(dancer.forward()[0])
        forget_seen()
        assert {each.choreography_id for each in SeenEvent.objects.all()} == {dancer.id}

    def test_why_a_service_gave_up_is_kept(self, dancer: Dancer) -> None:
        gave_up = StepGaveUp(code="error", reason="its database is full")
        dancer.hear(gave_up, step="inventory.commit_stock", operation="do", outcome="failed")
        assert dancer.row.failure["step"] == "inventory.commit_stock"
        assert dancer.row.failure["reason"] == "its database is full"

    def test_what_another_service_says_of_it_is_not(self, dancer: Dancer) -> None:
        gave_up = StepGaveUp(code=LOST, reason="the database of inventory was set back")
        about = {"step": "inventory.commit_stock", "operation": "do", "outcome": "failed"}
        event = build_event(gave_up, order=dancer.id, event_id=uuid7(), **about)
        deliver([event | {"source": "/shipment"}])
        assert (dancer.row.failure, dancer.row.status) == ({}, "running")

    def test_a_contradiction_is_for_a_human(self, dancer: Dancer) -> None:
        dancer.hear(dancer.forward()[3], dancer.back()[1])
        assert (dancer.row.status, dancer.row.due_at) == ("parked", None)


class TestCancelling:
    def test_it_is_withdrawn_once(self, dancer: Dancer) -> None:
        dancer.said()
        for _ in range(2):
            assert cancelling.ask_to_cancel(order=dancer.order, reason="by ada") == "stopping"
        assert dancer.said() == [("order.order_withdrawn", 0)]
        dancer.hear(*dancer.back()[1:])
        assert (dancer.order.status, dancer.order.cancel_code) == ("cancelled", "cancelled")

    def test_what_was_taken_is_too_late(self, dancer: Dancer) -> None:
        dancer.hear(*dancer.forward()[:4])
        with pytest.raises(TooLate, match="forward"):
            cancelling.ask_to_cancel(order=dancer.order, reason="by ada")

    def test_payments_word_that_it_was_too_late_turns_it_forward(self, dancer: Dancer) -> None:
        dancer.hear(*dancer.forward()[:3])
        cancelling.ask_to_cancel(order=dancer.order, reason="by ada")
        dancer.hear(PaymentRetained(order=dancer.id))
        assert dancer.row.status == "forward"
        dancer.hear(*dancer.forward())
        assert dancer.order.status == "confirmed"
        assert explain(read_flow(dancer.row)).text.endswith("Cancelled too late: the money had been taken.")


class TestDriving:
    """Rule 22: whoever starts the flow owns its due row."""

    @pytest.fixture(autouse=True)
    def _published(self, dancer: Dancer) -> None:
        dancer.said()

    def test_what_fell_silent_is_said_again(self, dancer: Dancer, pass_time: PassTime) -> None:
        pass_time(1.2 * settings.TIMES.silence_timeout)
        look()
        assert dancer.said() == [("order.order_placed", 1)]
        look()
        assert dancer.said() == []

    def test_nobody_is_silent_of_whom_we_have_not_spoken(self, dancer: Dancer, pass_time: PassTime) -> None:
        pass_time(1.2 * settings.TIMES.silence_timeout)
        look()
        pass_time(10 * settings.TIMES.silence_timeout)
        look()
        assert dancer.said() == [("order.order_placed", 1)]

    def test_what_is_moving_is_let_alone(self, dancer: Dancer, pass_time: PassTime) -> None:
        dancer.hear(dancer.forward()[0])
        pass_time(1.2 * settings.TIMES.silence_timeout)
        look()
        assert (dancer.said(), dancer.row.drives) == ([], 0)

    def test_past_its_deadline_it_is_withdrawn(self, dancer: Dancer, pass_time: PassTime) -> None:
        pass_time(settings.TIMES.deadline(15 * 60) + 1)
        look()
        assert dancer.said() == [("order.order_withdrawn", 0)]
        assert (dancer.row.status, dancer.row.cause["code"]) == ("stopping", "deadline_passed")

    def test_an_undo_is_asked_for_again(self, dancer: Dancer, pass_time: PassTime) -> None:
        dancer.hear(dancer.back()[0])
        pass_time(1.2 * settings.TIMES.silence_timeout)
        look()
        (row,) = OutboxMessage.objects.filter(saga=dancer.id)
        assert row.payload["data"]["code"] == "out_of_stock"
        assert dancer.said() == [("order.order_withdrawn", 1)]

    def test_forward_never_stops(self, dancer: Dancer, pass_time: PassTime) -> None:
        dancer.hear(*dancer.forward()[:4])
        pass_time(settings.TIMES.deadline(15 * 60) + 1)
        look()
        assert dancer.said() == [("order.order_placed", 1)]

    def test_driven_for_a_day_it_is_parked_and_still_hears_of_its_end(
        self, dancer: Dancer, pass_time: PassTime
    ) -> None:
        dancer.hear(dancer.back()[0])
        pass_time(settings.TIMES.compensation_timeout + 1)
        look()
        assert (dancer.row.status, dancer.row.due_at, dancer.said()) == ("parked", None, [])
        dancer.hear(*dancer.back()[1:])
        assert (dancer.row.status, dancer.order.status) == ("compensated", "cancelled")

    def test_each_drive_has_an_event_of_its_own(self, dancer: Dancer, pass_time: PassTime) -> None:
        ids = set()
        for _ in range(3):
            pass_time(10 * settings.TIMES.silence_timeout)
            dancer.set(deadline_at="2100-01-01T00:00Z")
            look()
            ids |= {each["id"] for each in OutboxMessage.objects.values_list("payload", flat=True)}
            dancer.said()
        assert len(ids) == 3


class TestApi:
    def test_an_order_says_what_was_seen_of_it(self, dancer: Dancer, peer: APIClient) -> None:
        dancer.hear(dancer.back()[0])
        shown = peer.get(f"/api/orders/{dancer.id}/").json()
        assert (shown["flow"], shown["status"], shown["saga"]) == ("choreographed", "stopping", None)
        assert [each["kind"] for each in shown["choreography"]["seen"]] == ["inventory.inventory_refused"]
        (listed,) = peer.get("/api/orders/").json()["results"]
        assert (listed["flow"], listed["status"]) == ("choreographed", "stopping")

    def test_the_flow_is_the_clients_to_choose(self, shop: Shop, peer: APIClient) -> None:
        wanted = {
            "lines": [{"sku": HEART, "quantity": 1}], "currency": "EUR", "payment_token": "tok",
            "customer": str(shop.customer.pk), "flow": "choreographed",
            "address": {"name": "A", "line1": "1", "city": "L", "postal_code": "S", "country": "GB"},
        }  # fmt: skip
        answer = peer.post("/api/orders/", wanted, format="json")
        assert answer.status_code == 202, answer.json()
        assert Choreography.objects.filter(pk=answer.json()["order"]).exists()
        assert peer.post("/api/orders/", wanted | {"flow": "x"}, format="json").status_code == 400

    def test_cancel(self, dancer: Dancer, peer: APIClient) -> None:
        answer = peer.post(f"/api/orders/{dancer.id}/cancel/")
        assert (answer.status_code, answer.json()["status"]) == (202, "stopping")
        dancer.hear(*dancer.back()[1:])
        assert peer.get(f"/api/orders/{dancer.id}/").json()["status"] == "cancelled"


class TestParked:
    """Rule 25: somebody owns it and decides in time, with what is live before their eyes."""

    @pytest.fixture
    def barrier(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
        """What the participants answer; payment holds money whose void is in doubt."""
        step = "payment.authorize_payment"
        doubt = Held(Action.DONE, Undo.INTENT, {"amount": 1785, "currency": "EUR"})
        told: dict[str, Answer] = {"payment": {step: doubt}, "inventory": {}, "shipment": None}
        monkeypatch.setattr(barrier_client, "read_barrier", lambda service, order: told[service])
        return told

    @pytest.fixture
    def parked(self, dancer: Dancer, pass_time: PassTime) -> Dancer:
        """As after a day of withdrawals that payment gives up on."""
        received, *_ = dancer.forward()
        expires = datetime.now(UTC) + timedelta(minutes=20)
        dancer.hear(replace(received, expires_at=expires), dancer.back()[0])
        gave_up = StepGaveUp(code="error", reason=f"void: no such hold {dancer.id}")
        dancer.hear(gave_up, step="payment.authorize_payment", operation="undo", outcome="failed")
        dancer.said()
        pass_time(settings.TIMES.compensation_timeout + 1)
        look()
        assert dancer.row.status == "parked"
        return dancer

    def test_it_has_an_owner_a_due_time_and_a_fingerprint(self, parked: Dancer) -> None:
        row = parked.row
        assert row.owner == "operations"
        assert row.answer_by is not None
        assert row.answer_by < timezone.now() + timedelta(minutes=21)  # when the hold ends
        assert row.fingerprint == "payment could not void the payment: void: no such hold #"
        assert row.cause["parked"] == ""

    def test_what_nobody_gave_up_lacks_a_word(self, dancer: Dancer, pass_time: PassTime) -> None:
        dancer.hear(*dancer.forward()[:4])
        dancer.said()
        pass_time(settings.TIMES.compensation_timeout + 1)
        look()
        assert dancer.row.fingerprint == "nothing was heard of inventory, asked to commit the stock"
        dancer.hear(dancer.forward()[4])
        assert dancer.row.fingerprint == "inventory answered late, asked to commit the stock: done"

    def test_a_contradiction_says_so(self, dancer: Dancer) -> None:
        dancer.hear(dancer.forward()[3], dancer.back()[1])
        row = dancer.row
        assert row.cause["parked"] in row.fingerprint
        assert (row.owner, row.answer_by is not None) == ("operations", True)

    def test_it_is_on_the_page_of_what_is_parked(self, parked: Dancer, admin_client: Client) -> None:
        (group,) = selectors.read_parked_groups()
        assert (group.kind, group.count, group.owners) == ("order.choreography", 1, ["operations"])
        shown = admin_client.get(reverse("admin:saga_parkedsaga_changelist")).content.decode()
        assert "choreographed order" in shown
        assert f'href="{reverse("admin:order_choreography_change", args=[parked.id])}"' in shown

    def test_going_on_takes_it_off_the_list(self, parked: Dancer, barrier: dict[str, Answer]) -> None:
        operators.perform(parked.row, "retry", by="ada", why="provider is back")
        assert (parked.row.status, parked.row.owner, parked.row.answer_by) == ("stopping", "", None)
        assert parked.said() == [("order.order_withdrawn", parked.row.attempt)]
        assert selectors.read_parked_groups() == []

    def test_its_end_takes_it_off_the_list(self, parked: Dancer) -> None:
        parked.hear(*parked.back()[1:])
        assert (parked.row.status, parked.row.owner) == ("compensated", "")

    def test_its_page_shows_owner_due_time_and_what_is_live(
        self, parked: Dancer, admin_client: Client, barrier: dict[str, Answer]
    ) -> None:
        page = admin_client.get(reverse("admin:order_choreography_change", args=[parked.id])).content.decode()
        for words in ("operations", "its undo was begun", money(1785, "EUR"), "shipment does not answer"):
            assert words in page
        for verb in ("retry", "compensate", "take_over", "settle_by_hand"):
            assert reverse(f"admin:order_choreography_{verb}", args=[parked.id]) in page

    def test_somebody_takes_it_over(
        self, parked: Dancer, admin_client: Client, barrier: dict[str, Answer]
    ) -> None:
        page = reverse("admin:order_choreography_take_over", args=[parked.id])
        assert admin_client.get(page).status_code == 200
        admin_client.post(page, {"why": "mine"})
        assert parked.row.owner == "admin"
        (kept,) = OperatorAction.objects.all()
        assert (kept.verb, kept.subject) == ("take over", str(parked.id))
        shown = admin_client.get(reverse("admin:order_choreography_change", args=[parked.id]))
        assert "Take over  by admin: mine" in shown.content.decode()

    def test_a_human_settles_a_doubt(
        self,
        parked: Dancer,
        admin_client: Client,
        barrier: dict[str, Answer],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        sent: list[Any] = []

        class Payment:
            def __init__(self, *_: Any) -> None: ...

            def post(self, path: str, body: dict[str, Any]) -> dict[str, str]:
                sent.append(body)
                return {"settled": "it is undone, says a human"}

        monkeypatch.setattr(barrier_client, "ServiceClient", Payment)
        page = reverse("admin:order_choreography_settle_by_hand", args=[parked.id])
        assert "payment.authorize_payment undo" in admin_client.get(page).content.decode()
        form = {"intent": "payment.authorize_payment undo", "answer": "{}", "why": "the provider wrote so"}
        admin_client.post(page, form)
        (body,) = sent
        assert (body["task"], body["saga"], body["command"]) == (
            "payment.void_payment", str(parked.id), {"order": str(parked.id)}
        )  # fmt: skip
        assert OperatorAction.objects.get().effect == "it is undone, says a human"

    def test_over_http(self, parked: Dancer, peer: APIClient, barrier: dict[str, Answer]) -> None:
        told = peer.get(f"/api/orders/{parked.id}/compensate/").json()
        assert (told["before"], told["after"], told["sends"]) == (
            "parked", "stopping", ["announce the withdrawal"]
        )  # fmt: skip
        assert parked.said() == []
        taken = peer.post(f"/api/orders/{parked.id}/take-over/", {"why": "mine"}, format="json")
        assert (taken.status_code, taken.json()["subject"]) == (200, str(parked.id))
        assert peer.post(f"/api/orders/{parked.id}/settle/", {"why": "?"}, format="json").status_code == 400

    def test_an_order_under_way_is_withdrawn_by_an_operator(
        self, dancer: Dancer, barrier: dict[str, Answer]
    ) -> None:
        dancer.said()
        assert previews.preview(dancer.row, "compensate").after == "stopping"
        operators.perform(dancer.row, "compensate", by="ada", why="the customer rang")
        assert dancer.said() == [("order.order_withdrawn", 0)]
        assert (dancer.row.status, dancer.row.cause["reason"]) == ("stopping", "cancelled by us")
        with pytest.raises(OperatorRefused, match="only what waits for a decision"):
            operators.take_over(dancer.row, by="ada", why="mine")

    def test_one_that_was_parked_on_its_way_is_withdrawn_without_a_name(
        self, dancer: Dancer, barrier: dict[str, Answer]
    ) -> None:
        dancer.said()
        dancer.set(status="parked", owner="operations", due_at=None)
        operators.perform(dancer.row, "compensate", by="ada", why="the customer rang")
        assert dancer.said() == [("order.order_withdrawn", 0)]
        assert (dancer.row.status, dancer.row.owner) == ("stopping", "")
        assert dancer.row.cause["reason"] == "cancelled by us"

    def test_what_is_past_its_pivot_is_not_withdrawn(self, dancer: Dancer) -> None:
        dancer.hear(*dancer.forward()[:4])
        dancer.said()
        with pytest.raises(OperatorRefused, match="it is only finished"):
            operators.perform(dancer.row, "compensate", by="ada", why="the customer rang")
        assert dancer.said() == []

    def test_an_overdue_one_is_counted(self, parked: Dancer) -> None:
        parked.set(answer_by=timezone.now() - timedelta(hours=1))
        found = {metric.name: metric for metric in measures.measure_flows()}
        assert found["order_saga_parked_overdue"].samples[0].value == 1


class TestDeadLetters:
    """Rule 19: what the broker gave up on, somebody looks after."""

    def dead(self, dancer: Dancer) -> str:
        event = build_event(dancer.forward()[0], order=dancer.id, event_id=uuid7())
        process_letters([Letter.parse(letter("events.receive", event))])
        return DeadLetter.objects.latest("id").consequence

    def test_of_its_event_makes_an_order_due(self, dancer: Dancer) -> None:
        later = dancer.row.due_at
        assert later is not None
        assert self.dead(dancer) == "it is looked at soon"
        row = dancer.row
        assert row.due_at is not None
        assert row.due_at < later - timedelta(seconds=settings.TIMES.silence_timeout / 2)

    def test_of_what_has_ended_changes_nothing(self, dancer: Dancer) -> None:
        dancer.hear(*dancer.forward())
        self.dead(dancer)
        assert (dancer.row.status, dancer.row.due_at) == ("completed", None)

    def test_of_an_order_that_nobody_knows_is_kept(self, dancer: Dancer) -> None:
        Order.objects.all().delete()
        assert self.dead(dancer) == "kept: no such saga here"


class TestRetrying:
    """Rule 25: a human's word, kept with the name."""

    def test_a_parked_one_goes_on_with_its_stop(self, dancer: Dancer, peer: APIClient) -> None:
        dancer.hear(dancer.back()[0])
        dancer.said()
        dancer.set(status="parked", due_at=None)
        answer = peer.post(f"/api/orders/{dancer.id}/retry/", {"why": "carrier is back"}, format="json")
        assert answer.status_code == 202, answer.json()
        assert (dancer.row.status, dancer.said()) == ("stopping", [("order.order_withdrawn", 1)])
        (kept,) = OperatorAction.objects.all()
        assert (kept.verb, kept.why) == ("retry", "carrier is back")

    def test_one_whose_money_was_taken_goes_on_forward(self, dancer: Dancer) -> None:
        dancer.hear(*dancer.forward()[:4])
        dancer.said()
        dancer.set(status="parked", due_at=None)
        operators.perform(dancer.row, "retry", by="op", why="mended")
        assert (dancer.row.status, dancer.said()) == ("forward", [("order.order_placed", 1)])

    def test_what_has_ended_is_refused(self, dancer: Dancer, peer: APIClient) -> None:
        dancer.hear(*dancer.forward())
        answer = peer.post(f"/api/orders/{dancer.id}/retry/", {"why": "?"}, format="json")
        assert answer.status_code == 409
        assert not OperatorAction.objects.exists()

    def test_what_has_ended_is_refused_when_all_else_is_forgotten(self, dancer: Dancer) -> None:
        dancer.hear(*dancer.forward())
        dancer.said()
        SeenEvent.objects.all().delete()
        with pytest.raises(OperatorRefused, match="has ended: done"):
            operators.perform(dancer.row, "retry", by="op", why="?")
        assert dancer.said() == []

    def test_a_contradiction_is_no_machines_to_mend(self, dancer: Dancer) -> None:
        dancer.hear(dancer.forward()[3], dancer.back()[1])
        with pytest.raises(OperatorRefused, match="contradicts itself"):
            operators.perform(dancer.row, "retry", by="op", why="?")

    def test_the_pages(self, dancer: Dancer, admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(barrier_client, "read_barrier", lambda service, order: None)
        dancer.hear(dancer.back()[0])
        for url in (
            reverse("admin:order_choreography_changelist"),
            reverse("admin:order_choreography_change", args=[dancer.id]),
            reverse("admin:order_choreography_retry", args=[dancer.id]),
            reverse("admin:order_order_change", args=[dancer.id]),
            "/api/events/docs/",
        ):
            shown = admin_client.get(url)
            assert shown.status_code == 200, url
            assert "tok_visa" not in shown.content.decode()
        admin_client.post(
            reverse("admin:order_choreography_retry", args=[dancer.id]), {"why": "again", "seen": "stopping"}
        )
        assert OperatorAction.objects.get().by == "admin"
