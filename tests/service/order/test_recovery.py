"""The order service is recovered from an older backup: customers who were erased since then stay erased."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command

from celery_config.common.identifiers import uuid7
from celery_config.copies.models import FINAL_VERSION, Tombstone
from celery_config.erasure.models import Forgotten
from celery_config.errors import OperatorRefused
from celery_config.http.service_client import ServiceClient
from celery_config.messaging import epochs
from celery_config.saga.engine import runner
from celery_config.saga.models import SagaInstance
from order_project import audit, lost_lines
from order_project.erasure.data import DATA_MAP
from order_project.models import Choreography, Customer, Order, Refund
from tests.service.everything import told
from tests.service.order.conftest import HEART, REPLIES, Placed, Shop

pytestmark = pytest.mark.django_db
PERSONAL = ("Ada", "ada@", "High St", "SW1", "tok_visa")
AT = "2026-11-23T14:00:00Z"
DECLINED = {"code": "card_declined", "reason": "the bank said no"}


class Others:
    """The participants: payment has erased a customer; the erasure has not reached shipment."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.copies: dict[str, list[dict[str, Any]]] = {}
        self.events: dict[str, list[dict[str, Any]]] = {}

    def get(self, client: ServiceClient, path: str) -> dict[str, Any]:
        path = path.partition("?")[0]
        if path.startswith("/api/copies/"):
            fields = {"payment": ["name", "email"], "shipment": ["delivery_address"]}[client.service]
            return {"fields": fields, "rows": self.copies.get(client.service, []), "more": False}
        if path == "/api/events/":
            return {"events": self.events.get(client.service, []), "more": False}
        return {"results": self.rows.get((client.service, path), []), "next": None}

    def hold(self, service: str, saga: UUID, step: str, action: str, undo: str = "", **more: Any) -> None:
        """A barrier row of a participant."""
        row: dict[str, Any] = {"order": None, "asked": {}, "saga": str(saga), "step": step, "command": "",
               "action": action, "undo": undo, "reply": None, "created_at": AT}  # fmt: skip
        self.rows.setdefault((service, "/api/barrier/"), []).append(row | more)

    def decline(self, order: UUID, saga: UUID, step: str = "authorize-payment") -> None:
        """Payment's barrier row of an order whose card was declined: nothing else is left of it."""
        asked = {"customer": str(uuid4()), "amount": 1785, "currency": "EUR"}
        self.hold("payment", saga, step, "refused", order=str(order), asked=asked, reply=DECLINED)

    def erase(self, customer: UUID, *about: UUID) -> None:
        tombstones = [{"id": str(each)} for each in (customer, *about)]
        self.rows["payment", "/api/forgotten/"] = tombstones
        row = {"key": str(customer), "version": FINAL_VERSION, "changed_at": AT, "values": None}
        self.copies["payment"] = [row]

    def carry_out(self, order: UUID, saga: UUID, payment: str = "captured") -> None:
        """The participants' rows of an order, which is completed as a rule; shipment still has the address."""
        of, address = {"order": str(order), "created_at": AT}, {"name": "Ada", "line1": "1 High St"}
        self.rows["payment", "/api/payments/"] = [
            {
                **of,
                "id": str(uuid4()),
                "state": payment,
                "amount": 1785,
                "currency": "EUR",
                "customer": None,
            }
        ]
        self.rows["inventory", "/api/reservations/"] = [
            {**of, "id": str(uuid4()), "state": "committed", "lines": [{"sku": HEART, "quantity": 7}]}
        ]
        where = {
            **address, "line2": "", "city": "London", "region": "Essex", "postal_code": "SW1", "country": "GB",
        }  # fmt: skip
        self.rows["shipment", "/api/shipments/"] = [
            {**of, "id": str(uuid4()), "state": "dispatched", "weight_grams": 1, "parcels": 1,
             "tracking_number": "SB-1", **where}
        ]  # fmt: skip
        self.rows["payment", "/api/barrier/"] = [
            {"order": str(order), "saga": str(saga), "step": "authorize-payment", "command": "payment.authorize",
             "action": "done", "undo": "none", "reply": {}}
        ]  # fmt: skip


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Others:
    others = Others()
    monkeypatch.setattr(ServiceClient, "get", lambda client, path: others.get(client, path))
    return others


def recover(capsys: pytest.CaptureFixture[str]) -> str:
    """What a human must decide afterwards."""
    with pytest.raises(SystemExit):
        call_command("recover", "--approve", "a test")
    return capsys.readouterr().out.replace("\n", "")


def test_a_customer_who_is_here_again_is_erased_again(
    shop: Shop, others: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    order = Placed(shop.place("key-1").order)
    order.heard()
    runner.complete_sagas({order.saga_id: runner.ChainEnd(REPLIES)})
    assert order.saga_id
    others.erase(shop.customer.pk, order.id, order.saga_id)
    assert "0 written" not in recover(capsys)
    assert told(*PERSONAL) == []
    assert not Customer.objects.exists()
    assert Tombstone.objects.get(key=str(shop.customer.pk)).version == FINAL_VERSION
    assert order.order.lines.get().quantity == 7
    assert [*DATA_MAP.find_residue()] == []


def test_an_order_that_shipment_knows_by_name_comes_back_without_it(
    shop: Shop, others: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    Customer.objects.all().delete()
    order, saga = uuid7(), uuid7()
    others.carry_out(order, saga)
    others.erase(uuid4(), order, saga)
    recover(capsys)
    found = Order.objects.get(pk=order)
    assert (found.status, found.total, found.address["country"]) == ("confirmed", 1785, "GB")
    assert told(*PERSONAL) == []
    assert [*DATA_MAP.find_residue()] == []


def test_an_order_that_may_be_half_done_is_parked(
    shop: Shop, others: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    order, saga = uuid7(), uuid7()
    others.carry_out(order, saga, payment="authorized")
    recover(capsys)
    assert SagaInstance.objects.get(pk=saga).status == "parked"
    assert Order.objects.get(pk=order).status == "placed"


def test_an_order_that_has_not_ended_here_keeps_its_data_until_then(
    placed: Placed, others: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    assert placed.saga_id
    customer = Customer.objects.get()
    others.erase(customer.pk, placed.id, placed.saga_id)
    assert "3 erased customers, orders and sagas are here again" in recover(capsys)
    assert placed.saga.data["payment_token"] == "tok_visa"
    assert placed.order.customer == customer
    assert not Forgotten.objects.exists()
    epochs.end_recovery()
    placed.heard()
    runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
    recover(capsys)
    assert told(*PERSONAL) == []


def test_an_order_that_was_refused_comes_back_with_its_cause(
    shop: Shop, others: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is left of it but one barrier row: no payment, no reservation, no shipment."""
    order, saga = uuid7(), uuid7()
    others.decline(order, saga)
    assert "its lines are lost" in recover(capsys)
    found, row = Order.objects.get(pk=order), SagaInstance.objects.get(pk=saga)
    assert (found.status, found.total, found.currency, found.cancel_code) == (
        "cancelled",
        1785,
        "EUR",
        "card_declined",
    )
    assert (row.status, row.cause) == ("compensated", {"step": "authorize-payment", **DECLINED})
    assert row.steps.get(name="authorize-payment").refusal == DECLINED


def test_a_choreographed_order_that_was_refused_comes_back_with_its_cause(
    shop: Shop, others: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    order = uuid7()
    others.decline(order, order, "payment.authorize_payment")
    recover(capsys)
    found, row = Order.objects.get(pk=order), Choreography.objects.get(pk=order)
    assert (found.status, found.saga, found.cancel_code) == ("cancelled", None, "card_declined")
    assert (row.status, row.cause["code"]) == ("compensated", "card_declined")
    assert [seen.content["code"] for seen in row.seen.all()] == ["card_declined"]


def test_an_order_whose_payment_is_in_doubt_is_parked(
    shop: Shop, others: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    order, saga = uuid7(), uuid7()
    asked = {"amount": 1785, "currency": "EUR"}
    others.hold("payment", saga, "authorize-payment", "intent", order=str(order), asked=asked)
    recover(capsys)
    assert SagaInstance.objects.get(pk=saga).status == "parked"


def test_an_order_that_only_an_event_names_is_listed(
    shop: Shop, others: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stock first: inventory refused before payment was asked, and nothing says what the order cost."""
    order, saga = uuid7(), uuid7()
    others.hold(
        "inventory", saga, "reserve-stock", "refused", reply={"code": "out_of_stock", "reason": "none"}
    )
    others.events["inventory"] = [{"cursor": "1-1", "event": {"saga": str(saga), "subject": str(order)}}]
    listed = recover(capsys)
    assert str(order) in listed
    assert "refused, out_of_stock" in listed
    assert not Order.objects.exists()


def test_a_saga_whose_order_cannot_be_told_is_listed(
    shop: Shop, others: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    saga = uuid7()
    others.hold("shipment", saga, "book-shipment", "tombstone", "done")
    listed = recover(capsys)
    assert str(saga) in listed
    assert "book-shipment: never to run" in listed


def test_what_the_first_look_leaves_is_found_by_the_next(
    shop: Shop, others: Others, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recovered order must not pass for the newest of the backup."""
    asked: list[str] = []
    fetch = others.get

    def get(client: ServiceClient, path: str) -> dict[str, Any]:
        asked.append(path)
        return fetch(client, path)

    monkeypatch.setattr(ServiceClient, "get", get)
    others.decline(uuid7(), uuid7())
    recover(capsys)
    assert SagaInstance.objects.count() == 1
    assert not [path for path in asked if "began_since" in path]


def test_a_refund_that_was_refused_comes_back(
    placed: Placed, others: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    refund, asked = uuid4(), {"refund_amount": 100, "currency": "EUR"}
    others.hold(
        "payment", uuid7(), "refund-payment", "refused", command="payment.refund_payment",
        order=str(placed.id), asked=asked | {"refund": str(refund)}, reply=DECLINED,
    )  # fmt: skip
    call_command("recover", "--approve", "a test")
    found = Refund.objects.get(pk=refund)
    assert (found.status, found.amount, found.detail) == ("refused", 100, "the bank said no")


class TestLostLines:
    """Else the audit would name a recovered order as a violation for good."""

    @pytest.fixture
    def order(self, shop: Shop, others: Others, capsys: pytest.CaptureFixture[str]) -> str:
        order = uuid7()
        others.decline(order, uuid7())
        recover(capsys)
        return str(order)

    def find(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        monkeypatch.setattr(ServiceClient, "post", lambda *_: {"facts": {}})
        peers = {"payment": ServiceClient("payment"), "inventory": ServiceClient("inventory")}
        peers["shipment"] = ServiceClient("shipment")
        return [each.what for each in audit.check_orders(list(Order.objects.all()), peers)]

    def test_they_are_a_human_s_until_an_operator_has_settled_them(
        self, order: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.find(monkeypatch) == []
        (question,) = audit.find_questions()
        assert (question.order, question.what.partition(":")[0]) == (order, "its lines are lost")
        call_command("settle_lines", order, "--why", "the client ordered again")
        assert [*audit.find_questions()] == []
        assert self.find(monkeypatch) == []

    def test_lines_that_no_recovery_lost_stay_a_violation(
        self, order: str, placed: Placed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        placed.order.lines.all().delete()
        assert self.find(monkeypatch) == ["its lines cost 0, and its total is 1785"]
        with pytest.raises(OperatorRefused, match="no order that came back"):
            lost_lines.settle([str(placed.id)], by="ada", why="hide it")

    def test_the_audit_lists_them_apart(
        self, order: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(audit, "run", lambda progress: (1, []))
        monkeypatch.setattr(audit, "find_warnings", lambda: [])
        call_command("audit")
        assert capsys.readouterr().out.endswith("audit: 1 orders checked, 0 violations, 1 for a human\n")
