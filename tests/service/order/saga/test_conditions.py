"""What somebody is told of: one condition a cause, of flows, letters, saga time and services."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from celery_config.common.conditions import Amount, Condition, ConditionKind, Severity
from celery_config.contracts.base import LOST
from celery_config.db.functions import Now
from celery_config.messaging.models import Observation
from celery_config.messaging.observations import note
from celery_config.saga import conditions, service_conditions
from celery_config.saga.causes import describe_failure
from celery_config.saga.models import DeadLetter, LetterGroup, SagaClock, SagaInstance
from celery_config.saga.operations import services
from order_project.choreography.derivation import RECEIVED
from order_project.domain import Flow
from order_project.models import Choreography, SeenEvent
from tests.service.order.conftest import REPLIES, Placed, Shop

pytestmark = pytest.mark.django_db
CAUSE = "the carrier answered 500 when asked to cancel the shipment"
Said = dict[str, dict[str, Any]]


def park(placed: Placed, cause: str = CAUSE, hours: float = 4, **fields: Any) -> None:
    placed.set(
        status="parked", due_at=None, fingerprint=cause, owner="operations",
        answer_by=timezone.now() + timedelta(hours=hours), **fields,
    )  # fmt: skip


def hold(placed: Placed, days: float) -> None:
    """The provider holds the money of an order for so long."""
    placed.log_as("done", "authorize-payment")
    reply = {
        **REPLIES["authorize-payment"],
        "expires_at": (timezone.now() + timedelta(days=days)).isoformat(),
    }
    placed.saga.steps.filter(name="authorize-payment").update(reply=reply)


def choreograph(shop: Shop, days: float) -> Choreography:
    """A choreographed order that is parked while the provider holds its money for so long."""
    order = shop.place(flow=Flow.CHOREOGRAPHED).order
    row = Choreography.objects.get(pk=order)
    expires_at = (timezone.now() + timedelta(days=days)).isoformat()
    content = {
        "order": str(order),
        "payment": str(order),
        "amount": 5,
        "currency": "EUR",
        "expires_at": expires_at,
    }
    SeenEvent.objects.create(choreography=row, kind=RECEIVED, content=content)
    Choreography.objects.filter(pk=row.pk).update(
        status="parked", fingerprint=CAUSE, owner="operations", answer_by=timezone.now() + timedelta(hours=4)
    )
    return row


class TestParked:
    def test_many_of_one_cause_are_one_condition_with_their_money(self, shop: Shop, client: Client) -> None:
        for _ in range(2):
            placed = shop.order()
            placed.log_as("done", "authorize-payment")
            park(placed)
        choreograph(shop, 7)
        park(shop.order(), "other")
        found = {each.cause: each for each in conditions.find_parked()}
        assert {*found} == {CAUSE, "other"}
        one = found[CAUSE]
        assert one.sentence == f"2 sagas and 1 choreographed order wait for a decision: {CAUSE}."
        assert (one.count, one.severity, one.kind) == (3, Severity.TICKET, ConditionKind.PARKED)
        assert {(each.state, each.currency) for each in one.money} == {("held", "EUR")}
        assert one.link.endswith("/admin/saga/parkedsaga/")
        assert one.advice.startswith("Ask the other side")
        assert found["other"].sentence == "1 saga waits for a decision: other."

    def test_a_database_that_was_set_back_is_looked_at_now(self, placed: Placed) -> None:
        lost = describe_failure({"code": LOST}, "payment", "capture the payment")
        park(placed, lost)
        (one,) = conditions.find_parked()
        assert one.severity is Severity.PAGE
        assert one.advice.startswith("Pause new orders, and recover the service's database")

    def test_its_link_leads_to_the_page_with_the_act(self, shop: Shop, admin_client: Client) -> None:
        for _ in range(2):
            park(shop.order())
        (one,) = conditions.find_parked()
        page = admin_client.get("/" + one.link.split("/", 3)[3]).content.decode()
        assert "Bring to an end: all 2" in page

    def test_what_nobody_decided_in_time_is_overdue(self, shop: Shop) -> None:
        park(shop.order(), hours=-1)
        park(shop.order(), hours=-2)
        park(shop.order(), hours=1)
        (overdue,) = conditions.find_overdue()
        assert overdue.sentence == f"2 sagas wait for an overdue decision: {CAUSE}."
        assert (overdue.count, overdue.severity) == (2, Severity.PAGE)
        assert overdue.due
        assert overdue.due < timezone.now() - timedelta(hours=1.9)

    def test_what_is_open_past_its_deadline_is_overdue(self, placed: Placed) -> None:
        assert [*conditions.find_overdue()] == []
        placed.set(started_at=timezone.now() - timedelta(hours=3))
        (late,) = conditions.find_overdue()
        assert late.sentence.startswith("1 saga has been on the way for longer than the deadline")
        assert "the oldest of them" in late.advice


class TestHolds:
    @pytest.mark.parametrize(("days", "told"), [(0.5, True), (-1, True), (3, False)])
    def test_one_that_ends_soon_is_told_while_the_order_is_parked(
        self, placed: Placed, days: float, told: bool
    ) -> None:
        hold(placed, days)
        assert [*conditions.find_ending_holds()] == [], "it may still be decided by itself"
        park(placed)
        found = [*conditions.find_ending_holds()]
        assert bool(found) is told
        if told:
            assert found[0].money == [Amount("held", "EUR", placed.order.total)]
            assert found[0].due

    def test_of_a_choreographed_order_too_and_once_a_cause(self, shop: Shop, placed: Placed) -> None:
        hold(placed, 0.5)
        park(placed)
        choreograph(shop, 0.1)
        (found,) = conditions.find_ending_holds()
        assert found.count == 2
        assert found.due
        assert found.due < timezone.now() + timedelta(hours=3)

    def test_what_is_taken_ends_no_more(self, placed: Placed) -> None:
        hold(placed, 0.5)
        placed.log_as("done", "capture-payment")
        park(placed)
        assert [*conditions.find_ending_holds()] == []


def test_open_dead_letters_are_told_by_what_is_wrong(client: Client) -> None:
    LetterGroup.objects.create(fingerprint="a", task="payment.void", fault="it has … bytes")
    for group, fault in (("a", "it has 7 bytes"), ("a", "it has 8 bytes"), ("", "")):
        DeadLetter.objects.create(
            reason="rejected", queue="q", task="payment.void", fault=fault, consequence="", fingerprint=group
        )
    DeadLetter.objects.create(reason="rejected", queue="q", consequence="", dealt_with_at=Now())
    found = sorted(conditions.find_dead_letters(), key=lambda each: each.count)
    assert [each.sentence for each in found] == [
        "1 dead letter: it is not known what is wrong.",
        "2 dead letters of payment.void: it has … bytes.",
    ]
    assert "fingerprint=a" in found[1].link
    assert "take it back" in found[1].advice


class TestStanding:
    def stand(self, stands_for: str = "", ticked: float = 0) -> list[Condition]:
        now = timezone.now()
        SagaClock.objects.update_or_create(
            pk=1,
            defaults={
                "now": now, "ticked_at": now - timedelta(seconds=ticked), "stands_for": stands_for,
                "stands_since": now - timedelta(seconds=70) if stands_for else None,
            },
        )  # fmt: skip
        return [*conditions.find_standing()]

    def test_it_is_told_with_its_cause(self) -> None:
        assert self.stand() == []
        (one,) = self.stand("payment, shipment")
        assert one.sentence.startswith(
            "Payment has no worker and shipment has no worker: orders wait. Saga time stands,"
        )
        assert one.advice.startswith("Start it: ./manage.py payment worker;")
        assert one.also == [ConditionKind.NO_CONSUMER]
        (other,) = self.stand("broker")
        assert other.sentence.startswith("The broker does not answer: orders wait. Saga time stands,")
        assert other.advice.startswith("Start the broker,")

    def test_a_dead_relay_is_one_cause_with_the_time_that_stands(self) -> None:
        (one,) = self.stand(ticked=60)
        assert (one.kind, one.cause, one.also) == (ConditionKind.RELAY, "order", [ConditionKind.STANDING])


class TestServices:
    @pytest.fixture
    def said(self, monkeypatch: pytest.MonkeyPatch) -> Said:
        """What the services say when they are asked now."""
        said: Said = {name: {"flows": True, "broker": "ok"} for name in services.SERVICES}
        monkeypatch.setattr(service_conditions, "ask_service", lambda service: said[service])
        return said

    def find(self) -> list[Condition]:
        return [*service_conditions.find_troubles()]

    def test_what_a_service_says_of_itself_is_told_by_its_kind(self, said: Said) -> None:
        said["payment"] |= {"workers": "none on payment.commands", "books": "warning: 2 differences"}
        said["shipment"] |= {
            "relay": "no relay runs: none has been seen for 70 s",
            "copies": "late: x 90 s behind",
        }
        found = {(each.kind, each.cause): each for each in self.find()}
        assert {*found} == {
            (ConditionKind.NO_CONSUMER, "payment workers"), (ConditionKind.BOOKS, "payment books"),
            (ConditionKind.RELAY, "shipment"), (ConditionKind.COPY, "shipment copies"),
        }  # fmt: skip
        sentence = found[ConditionKind.RELAY, "shipment"].sentence
        assert sentence == "Shipment does not send its messages: no relay runs: none has been seen for 70 s."

    def test_one_that_does_not_answer_is_told(self, said: Said) -> None:
        said["inventory"] = {"flows": False, services.SILENT: "does not answer"}
        (one,) = self.find()
        assert (one.kind, one.cause) == (ConditionKind.SERVICE, "inventory service")
        assert one.sentence.startswith("Inventory does not answer at http://")

    def test_a_broker_that_is_away_is_one_cause(self, said: Said) -> None:
        for says in said.values():
            says |= {"broker": "away: ConnectionError", "workers": "unknown: no broker"}
        (one,) = self.find()
        assert one.cause == "broker"
        assert "order, payment, inventory, shipment" in one.sentence

    def test_what_makes_saga_time_stand_is_told_with_it(self, said: Said) -> None:
        said["payment"]["workers"] = "none on payment.commands"
        TestStanding().stand("payment")
        assert self.find() == []
        said["payment"] = {"flows": False, services.SILENT: "does not answer"}
        assert self.find() == [], "a service that is down as a whole is one cause"

    def test_what_the_relay_has_heard_counts_while_it_is_fresh(self, said: Said) -> None:
        said["payment"]["set_aside"] = "1 row cannot be sent"
        heard = {name: {"flows": True} for name in services.SERVICES}
        note(services.SERVICES_SEEN, heard)
        assert self.find() == []
        Observation.objects.update(at=timezone.now() - timedelta(minutes=5))
        assert [each.cause for each in self.find()] == ["payment set_aside"]

    def test_one_that_cannot_be_reached_is_no_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise httpx.ConnectError("refused")

        monkeypatch.setattr(httpx.Client, "get", refuse)
        assert len(self.find()) == len(services.SERVICES)


def test_a_look_takes_few_statements_however_much_is_parked(shop: Shop, settings: Any) -> None:
    note(services.SERVICES_SEEN, {})
    counts = []
    for _ in range(2):
        for _ in range(3):
            placed = shop.order()
            hold(placed, 0.5)
            park(placed)
        with CaptureQueriesContext(connection) as statements:
            for find in (
                conditions.find_parked, conditions.find_overdue, conditions.find_ending_holds,
                conditions.find_dead_letters, conditions.find_standing, service_conditions.find_troubles,
            ):  # fmt: skip
                list(find())
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert SagaInstance.objects.filter(status="parked").count() == 6


@pytest.mark.parametrize("find", [conditions.find_parked, conditions.find_ending_holds])
def test_while_nothing_is_parked_only_that_is_asked(
    shop: Shop, find: Any, django_assert_num_queries: Any
) -> None:
    shop.order()
    with django_assert_num_queries(2):  # one for each kind of flow
        assert [*find()] == []


def test_the_notifier_tells_each_kind_of_dead_letter(db: None) -> None:
    """Also the smallest and newest, which the workbench does not show among its hundred."""
    for n in range(101):
        LetterGroup.objects.create(fingerprint=str(n), fault=f"fault {'x' * n}")
        DeadLetter.objects.create(fingerprint=str(n), reason="rejected", queue="q", consequence="none")
    assert len([*conditions.find_dead_letters()]) == 101
