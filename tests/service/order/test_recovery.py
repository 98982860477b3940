"""The order service is recovered from an older backup: customers who were erased since then stay erased."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command

from celery_config.common.identifiers import uuid7
from celery_config.copies.models import FINAL_VERSION, Tombstone
from celery_config.erasure.models import Forgotten
from celery_config.http.service_client import ServiceClient
from celery_config.messaging import epochs
from celery_config.saga.engine import runner
from celery_config.saga.models import SagaInstance
from order_project.erasure.data import DATA_MAP
from order_project.models import Customer, Order
from tests.service.everything import told
from tests.service.order.conftest import HEART, REPLIES, Placed, Shop

pytestmark = pytest.mark.django_db
PERSONAL = ("Ada", "ada@", "High St", "SW1", "tok_visa")
AT = "2026-11-23T14:00:00Z"


class Others:
    """The participants: payment has erased a customer; the erasure has not reached shipment."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.copies: dict[str, list[dict[str, Any]]] = {}

    def get(self, client: ServiceClient, path: str) -> dict[str, Any]:
        path = path.partition("?")[0]
        if path.startswith("/api/copies/"):
            fields = {"payment": ["name", "email"], "shipment": ["delivery_address"]}[client.service]
            return {"fields": fields, "rows": self.copies.get(client.service, []), "more": False}
        return {"results": self.rows.get((client.service, path), []), "next": None}

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
