"""The audit sees every kind of wrong money, stock and shipments; the other services are faked at the HTTP boundary."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone

from celery_config.broker import cluster
from celery_config.common.services import PARTICIPANTS
from celery_config.erasure.tombstones import mark_erased
from celery_config.errors import Recovering
from celery_config.messaging import epochs
from celery_config.messaging.models import OutboxMessage
from celery_config.saga.engine import runner
from celery_config.saga.engine.machine import StepFailed
from celery_config.saga.states import StepState
from order_project import audit, services
from order_project.domain import RequestLine
from order_project.models import CatalogueProduct, Order, Refund
from tests.service.order.conftest import HEART, REPLIES, Placed, Shop, merge
from tests.service.order.other_services import Services

pytestmark = pytest.mark.django_db


@pytest.fixture
def completed(placed: Placed, others: Services) -> Placed:
    runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
    others.carried_out(placed)
    return placed


@pytest.fixture
def compensated(placed: Placed, others: Services) -> Placed:
    runner.request_stop(placed.saga_id, code="cancelled", reason="by ada")
    runner.end_stop_chains({placed.saga_id: runner.StopChainEnd({})})
    others.undone(placed)
    return placed


def found() -> list[str]:
    """What the audit finds, in words."""
    return [finding.what for finding in audit.run(lambda _: None)[1]]


def ask(placed: Placed, amount: int) -> Refund:
    return services.request_refund(order=placed.id, amount=amount, reason="broken", by="ada")


def pay(refund: Refund) -> None:
    reply = {"refund": str(refund.id), "refunded_amount": refund.amount}
    runner.complete_sagas({refund.saga: runner.ChainEnd({"refund-payment": reply})})


def refuse(refund: Refund) -> None:
    why = {"code": "card_closed", "reason": "no such card"}
    merge(refund.saga, "refund-payment", StepState.REFUSED, why)
    runner.handle_trigger(
        refund.saga, StepFailed("refund-payment", "do"), cause={"step": "refund-payment", **why}
    )
    runner.end_stop_chains({refund.saga: runner.StopChainEnd({})})


class TestNothingIsFound:
    def test_of_a_completed_order(self, completed: Placed) -> None:
        assert audit.run(lambda _: None) == (1, [])

    def test_of_one_product_at_two_agreed_prices(self, shop: Shop, others: Services) -> None:
        lines = tuple(RequestLine(sku=HEART, quantity=q, unit_price=price) for q, price in ((3, 199), (4, 1)))
        placed = Placed(shop.place(lines=lines).order)
        runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
        others.carried_out(placed)
        assert found() == []

    def test_of_a_recovered_order_whose_prices_nobody_knows(self, completed: Placed) -> None:
        completed.order.lines.update(unit_price=1, price_source="recovered")
        assert found() == []

    def test_of_a_compensated_order(self, compensated: Placed) -> None:
        assert found() == []

    def test_of_a_compensated_order_nobody_had_heard_of(self, compensated: Placed, others: Services) -> None:
        for name in PARTICIPANTS:
            others.forgot(name, compensated)
        assert found() == []

    def test_of_an_order_on_its_way(self, placed: Placed, others: Services) -> None:
        assert found() == []

    def test_of_refunds_paid_refused_and_under_way(self, completed: Placed, others: Services) -> None:
        pay(ask(completed, 300))
        refuse(ask(completed, 200))
        ask(completed, 100)
        for refunded, refunds_open in ((300, 0), (400, 100), (400, 0)):
            others.did("payment", completed, refunded=refunded, refunds_open=refunds_open)
            assert found() == []

    def test_of_a_refund_that_ends_while_the_audit_asks(self, completed: Placed, others: Services) -> None:
        refund = ask(completed, 300)
        others.did("payment", completed, refunded=300, refunds_open=300, ledger_sum_ok=False)
        others.meanwhile = lambda: refuse(refund) if refund.status == "asked" else None
        assert found() == []


def test_lines_that_cost_something_else(placed: Placed, others: Services) -> None:
    placed.order.lines.update(unit_price=200)
    assert found() == ["its lines cost 1400, and its total is 1785"]


def test_a_price_that_the_product_never_had(completed: Placed, others: Services) -> None:
    """Somebody forged the event with the price; an order of before the prices were kept is not judged."""
    others.did("inventory", completed, prices=others.prices(completed, 300, 400))
    assert found() == [f"{HEART} was sold at 255, a price that inventory never gave it"]
    others.did("inventory", completed, prices=others.prices(completed, 300, hours=1))
    assert found() == []


@pytest.mark.parametrize(
    ("service", "facts", "finding"),
    [
        (
            "payment",
            {"state": "authorized", "captured": 0},
            "its payment is authorized with 0 of 1785 captured",
        ),
        ("payment", {"captured": 1784}, "1784 of 1785 captured"),
        ("payment", {"captured": 3570}, "3570 of 1785 captured"),
        ("payment", {"currency": "GBP"}, "was paid in GBP instead of EUR"),
        ("payment", {"refunded": 1786, "ledger_sum_ok": True}, "refunded 1786 of 1785 captured"),
        ("payment", {"refunded": 5}, "refunded 5, yet refunds of 0 were asked for"),
        ("payment", {"ledger_sum_ok": False}, "its ledger does not book what was captured and refunded"),
        ("inventory", {"state": "held"}, "its stock is held"),
        ("inventory", {"state": "released"}, "its stock is released"),
        ("inventory", {"lines": [{"sku": HEART, "quantity": 6}]}, "its stock is committed"),
        ("inventory", {"lines": []}, "0 of 1 lines"),
        ("shipment", {"state": "booked"}, "its shipment is booked"),
        ("shipment", {"state": "cancelled"}, "its shipment is cancelled"),
        ("shipment", {"weight_grams": 1}, "was shipped with 1 g instead of 1050"),
        ("shipment", {"address_digest": "of another one"}, "was shipped to another address than the order's"),
    ],
)
def test_what_is_wrong_with_a_completed_order(
    completed: Placed, others: Services, service: str, facts: dict[str, Any], finding: str
) -> None:
    others.did(service, completed, **facts)
    assert any(finding in what for what in found())


@pytest.mark.parametrize("service", PARTICIPANTS)
def test_what_was_never_done_for_a_completed_order(completed: Placed, others: Services, service: str) -> None:
    others.forgot(service, completed)
    (finding,) = audit.run(lambda _: None)[1]
    assert finding.order == str(completed.id)
    assert "is None" in finding.what


@pytest.mark.parametrize(
    ("service", "facts", "finding"),
    [
        ("payment", {"state": "authorized"}, "its payment is authorized"),
        ("payment", {"state": "captured", "captured": 1785}, "its payment is captured with 1785 captured"),
        ("payment", {"captured": 1}, "with 1 captured"),
        ("inventory", {"state": "held"}, "its stock is held"),
        ("inventory", {"state": "committed"}, "its stock is committed"),
        ("shipment", {"state": "booked"}, "its shipment is booked"),
        ("shipment", {"state": "dispatched"}, "its shipment is dispatched"),
    ],
)
def test_what_is_left_of_a_compensated_order(
    compensated: Placed, others: Services, service: str, facts: dict[str, Any], finding: str
) -> None:
    others.did(service, compensated, **facts)
    (found_one,) = found()
    assert finding in found_one


class TestOurOwn:
    def test_an_order_that_says_otherwise_than_its_completed_saga(self, completed: Placed) -> None:
        Order.objects.update(status="cancelled")
        assert found() == ["all is done, and the order cancelled"]

    def test_an_order_that_says_otherwise_than_its_compensated_saga(self, compensated: Placed) -> None:
        Order.objects.update(status="confirmed")
        assert found() == ["all is undone, and the order confirmed"]

    def test_an_order_without_a_saga(self, placed: Placed, others: Services) -> None:
        placed.saga.delete()
        assert found() == ["it has no saga and is not choreographed, so nothing carries it on"]

    def test_an_order_past_its_deadline(self, placed: Placed, others: Services) -> None:
        placed.set(deadline_at=timezone.now() - timedelta(days=1))
        assert found() == ["is past its deadline and still runs"]

    def test_a_refund_that_is_paid_and_was_not(self, completed: Placed, others: Services) -> None:
        pay(ask(completed, 300))
        others.did("payment", completed, refunded=300, refunds_open=300)
        assert found() == ["refunds of 300 are paid, yet payment gave back 300"]

    def test_a_refund_that_was_refused_and_is_paid(self, completed: Placed, others: Services) -> None:
        refuse(ask(completed, 300))
        others.did("payment", completed, refunded=300)
        assert found() == ["refunded 300, yet refunds of 0 were asked for"]

    def test_a_saga_that_nobody_knows_how_to_carry_on(self, placed: Placed, others: Services) -> None:
        placed.set(version=9)
        (finding,) = found()
        assert finding.startswith("order: no definition here knows these open sagas")
        assert finding.endswith(": 1 of place-order version 9")

    def test_a_promise_that_nobody_publishes(self, completed: Placed, others: Services) -> None:
        OutboxMessage.objects.update(due_at=timezone.now() - timedelta(minutes=2))
        (finding,) = found()
        assert "order: an outbox row has been due for 1" in finding

    def test_promises_that_cannot_be_sent(self, completed: Placed, others: Services) -> None:
        OutboxMessage.objects.filter(pk=OutboxMessage.objects.latest("id").pk).update(
            published_at=None, fault="501"
        )
        others.set_aside["payment"] = 2
        assert [finding.partition(",")[0] for finding in found()] == [
            "order: 1 outbox rows are set aside", "payment: 2 outbox rows are set aside",
        ]  # fmt: skip

    def test_a_copy_of_the_catalogue_that_differs(self, completed: Placed, others: Services) -> None:
        CatalogueProduct.objects.filter(sku=HEART).update(price=1)
        assert found() == [f"order: 1 rows of catalogue_product differ from inventory's: {HEART}"]


class TestTheirs:
    @pytest.mark.parametrize("service", PARTICIPANTS)
    def test_something_for_an_order_that_does_not_exist(
        self, completed: Placed, others: Services, service: str
    ) -> None:
        """Found on the last page of many, too."""
        nobody = str(uuid4())
        others.strangers[service] = [nobody]
        assert found() == [f"{service}: did something for {nobody}, which is no order of ours"]

    @pytest.mark.parametrize("service", PARTICIPANTS)
    def test_totals_that_do_not_add_up(self, others: Services, shop: Shop, service: str) -> None:
        others.faults[service] = ["it sums to 7"]
        assert found() == [f"{service}: it sums to 7"]

    @pytest.mark.parametrize("service", PARTICIPANTS)
    def test_a_copy_that_differs(self, others: Services, shop: Shop, service: str) -> None:
        others.differing[service] = ["7"]
        assert found() == [f"{service}: 1 rows of customer differ from their source's: 7"]

    @pytest.mark.parametrize("service", PARTICIPANTS)
    def test_an_erasure_that_did_not_begin_here(self, others: Services, shop: Shop, service: str) -> None:
        ours, theirs = uuid4(), uuid4()
        mark_erased([ours])
        others.erased[service] = [str(ours), str(theirs)]
        what = f"erased 1 customers, orders or sagas that the order service did not: {theirs}"
        assert found() == [f"{service}: {what}"]

    @pytest.mark.parametrize("service", ["payment", "shipment"])
    def test_books_that_differ(self, others: Services, shop: Shop, service: str) -> None:
        others.books[service] = ["orphan ch_1"]
        assert found() == [f"{service}: orphan ch_1"]

    @pytest.mark.parametrize("service", PARTICIPANTS)
    def test_an_outbox_that_nobody_publishes(self, others: Services, shop: Shop, service: str) -> None:
        others.lag[service] = 61.0
        assert found() == [f"{service}: an outbox row has been due for 61 s; is its relay running?"]


class TestTheBrokers:
    API = "http://order:secret@broker:15672/api/"

    def test_queues_with_too_few_members_and_letters_that_wait(
        self, others: Services, shop: Shop, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue = {"type": "quorum", "members": ["one"], "online": ["one"], "messages_dlx": 0}
        answers = {
            "nodes": [{"name": name} for name in ("one", "two", "three")],
            "queues": [{**queue, "name": "payment.commands"}, {"type": "classic", "name": "celeryev.1"}],
        }
        monkeypatch.setattr(cluster, "ask", lambda api, path: answers[path.split("?")[0].split("/")[0]])
        assert found() == []  # nobody is asked without an address
        settings.BROKER_API = self.API
        assert found() == ["broker: the queue payment.commands has 1 of 3 members: grow it"]

    def test_an_api_that_does_not_answer(self, others: Services, shop: Shop, settings: Any) -> None:
        settings.BROKER_API = "http://order:secret@127.0.0.1:1/api/"
        (what,) = found()
        assert what.startswith("broker: nobody knows the members of the queues: ")
        assert "secret" not in what


def test_every_page_of_orders_is_looked_at(
    shop: Shop, others: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "CHUNK", 2)
    placed = [shop.order() for _ in range(5)]
    for one in placed:
        runner.complete_sagas({one.saga_id: runner.ChainEnd(REPLIES)})
    checked, findings = audit.run(lambda _: None)
    assert checked == 5
    assert {finding.order for finding in findings} == {str(one.id) for one in placed}


class TestCommand:
    def test_without_a_finding(self, completed: Placed, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("audit")
        assert capsys.readouterr().out.endswith("audit: 1 orders checked, 0 violations\n")

    def test_a_finding_is_shown_and_the_exit_code_is_1(
        self, completed: Placed, others: Services, capsys: pytest.CaptureFixture[str]
    ) -> None:
        others.did("shipment", completed, state="booked")
        with pytest.raises(SystemExit, match="1"):
            call_command("audit")
        assert capsys.readouterr().out.endswith("audit: 1 orders checked, 1 violations\n")

    def test_what_a_service_says_ends_no_audit_and_steers_no_terminal(
        self, completed: Placed, others: Services, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Such as the key of a false row: rich would take its brackets for marks, and fail at some."""
        others.books["payment"] = ["[/b] [red]x[/red] \x1b[2J"]
        with pytest.raises(SystemExit, match="1"):
            call_command("audit")
        shown = capsys.readouterr().out
        assert "[/b] [red]x[/red] \\u001b[2J" in shown
        assert shown.endswith("audit: 1 orders checked, 1 violations\n")

    def test_a_service_that_is_away_harms_only_its_own_part(
        self, completed: Placed, others: Services, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """What the others say is compared, and what could not be checked is no violation and no success."""
        others.away = "inventory"
        others.did("shipment", completed, state="booked")
        others.books["payment"] = ["a difference"]
        with pytest.raises(SystemExit, match="1"):
            call_command("audit", "--json")
        told = json.loads(capsys.readouterr().out)
        assert [each["finding"] for each in told["findings"]] == [
            "completed, yet its shipment is booked", "payment: a difference",
        ]  # fmt: skip
        assert [what.partition(": not checked: inventory does not answer")[0] for what in told["not_checked"]] == [
            f"inventory: what it did for orders from {completed.id} on", "inventory: its totals",
            "inventory: its outbox", "inventory: orders that are not ours", "inventory: its copies",
            "inventory: whom it erased", "order: the copy catalogue_product",
        ]  # fmt: skip
        others.did("shipment", completed, state="dispatched")
        others.books["payment"] = []
        others.asked.clear()
        with pytest.raises(SystemExit, match="1"):
            call_command("audit")
        assert capsys.readouterr().out.endswith(" 0 violations, 7 parts not checked\n")
        # For what hangs each question is a minute.
        assert [path for service, path in others.asked if service == "inventory"] == [
            "/api/facts/",
            "/api/trouble/",
        ]

    def test_every_finding_is_in_the_report_and_in_the_json(
        self, shop: Shop, others: Services, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        others.strangers["payment"] = [str(uuid4()) for _ in range(60)]
        report = tmp_path / "audit.csv"
        with pytest.raises(SystemExit, match="1"):
            call_command("audit", "--report", str(report))
        assert f"and 10 more; all are in {report}" in capsys.readouterr().out.replace("\n", "")
        with report.open(newline="") as file:
            assert len(list(csv.DictReader(file))) == 60
        with pytest.raises(SystemExit, match="1"):
            call_command("audit", "--json")
        told = json.loads(capsys.readouterr().out)
        assert (told["checked"], told["violations"], len(told["findings"])) == (0, 60, 60)
        assert told["findings"][0].keys() == {"order", "finding"}

    def test_a_database_that_waits_for_recover_is_a_finding(self, shop: Shop, others: Services) -> None:
        epochs.begin("restored")
        assert found() == ["order: its database was restored, and ./manage.py order recover is not done"]

    def test_old_barrier_rows_of_unknown_sagas_are_a_finding(self, shop: Shop, others: Services) -> None:
        others.unanswered["shipment"] = "barrier rows of 2 old sagas are kept"
        assert found() == ["shipment: barrier rows of 2 old sagas are kept"]


def test_no_order_is_placed_until_recover_is_done(shop: Shop) -> None:
    epochs.begin("restored: the disk")
    with pytest.raises(Recovering, match="the disk"):
        shop.place()
    epochs.end_recovery()
    assert shop.place().order
