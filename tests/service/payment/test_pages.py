"""The API and the admin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from rest_framework.test import APIClient

from celery_config.messaging.models import BarrierRow
from payment_app.models import Account, LedgerTransaction, Refund
from tests.service.pages import assert_finds_by_index, assert_reads_little, lists, opened
from tests.service.payment.shop import Shop

PATHS = ["payments/", "ledger/", "ledger/balances/", "provider-books/"]


@pytest.fixture
def order(shop: Shop) -> Shop:
    """An order that was paid for, and partly refunded."""
    shop.paid(1999)
    shop.refund(500)
    return shop


@pytest.mark.django_db
@pytest.mark.parametrize("path", [*PATHS, "facts/", f"payments/{uuid4()}/"])
def test_a_stranger_gets_401(stranger: APIClient, path: str) -> None:
    assert stranger.get(f"/api/{path}").status_code == 401
    assert APIClient(HTTP_AUTHORIZATION="Bearer wrong").get(f"/api/{path}").status_code == 401


@pytest.mark.django_db
def test_a_customer_gets_403(django_user_model: Any) -> None:
    client = APIClient()
    client.force_authenticate(django_user_model.objects.create_user("customer"))
    assert {client.get(f"/api/{path}").status_code for path in PATHS} == {403}


@pytest.mark.parametrize("query", ["", "order={order}", "state=captured", "currency=GBP"])
def test_payments_are_listed_and_filtered(peer: APIClient, order: Shop, query: str) -> None:
    answer = peer.get(f"/api/payments/?{query.format(order=order.order)}")
    assert answer.status_code == 200
    (payment,) = answer.json()["results"]
    assert (payment["order"], payment["captured"], payment["refunded"]) == (str(order.order), 1999, 500)
    assert peer.get(f"/api/payments/{payment['id']}/").json() == payment


def test_filters_leave_out_and_complain(peer: APIClient, order: Shop) -> None:
    assert peer.get(f"/api/payments/?order={uuid4()}").json()["results"] == []
    assert peer.get("/api/payments/?order=nonsense").status_code == 400
    assert peer.get(f"/api/payments/{uuid4()}/").status_code == 404


def test_the_ledger_is_listed_with_few_statements(
    peer: APIClient, order: Shop, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(3):
        answer = peer.get(f"/api/ledger/?order={order.order}")
    listed = {t["booking"]: t["postings"] for t in answer.json()["results"]}
    assert set(listed) == {"capture", "refund promised", "refund paid"}
    assert {p["account"]: p["amount"] for p in listed["capture"]} == {
        "provider_clearing": 1999,
        "sales": -1999,
    }
    assert all(sum(p["amount"] for p in postings) == 0 for postings in listed.values())


def test_balances(peer: APIClient, order: Shop) -> None:
    found = {
        (row["account"], row["currency"]): row["balance"] for row in peer.get("/api/ledger/balances/").json()
    }
    assert found == {
        ("provider_clearing", "GBP"): 1499,
        ("sales", "GBP"): -1499,
        ("refunds_payable", "GBP"): 0,
    }


def test_facts(peer: APIClient, order: Shop) -> None:
    stranger = uuid4()
    answer = peer.post("/api/facts/", {"orders": [str(order.order), str(stranger)]}, format="json").json()
    payment = order.payment()
    assert answer["facts"] == {
        str(order.order): {
            "order": str(order.order),
            "payment": str(payment.id),
            "provider_id": payment.provider_id,
            "state": "captured",
            "amount": 1999,
            "currency": "GBP",
            "captured": 1999,
            "refunded": 500,
            "refunds_open": 0,
            "ledger_sum_ok": True,
        }
    }
    assert answer["totals"] == {"ledger_sums": {"GBP": 0}, "unbalanced_transactions": 0, "faults": []}


def test_facts_without_totals_and_their_limit(peer: APIClient, order: Shop) -> None:
    answer = peer.post("/api/facts/", {"orders": [], "totals": False}, format="json")
    assert answer.json() == {"facts": {}}
    many = [str(uuid4()) for _ in range(501)]
    assert peer.post("/api/facts/", {"orders": many}, format="json").status_code == 400


def test_the_schema_names_every_endpoint(peer: APIClient, order: Shop) -> None:
    schema = peer.get("/api/schema/")
    assert schema.status_code == 200
    assert all(f"/api/{path}" in schema.content.decode() for path in [*PATHS, "facts/"])


@pytest.mark.parametrize("page", ["payment", "refund", "ledgertransaction", "account"])
def test_admin_pages(admin_client: Client, order: Shop, page: str) -> None:
    rows: dict[str, Callable[[], Any]] = {
        "payment": order.payment,
        "refund": Refund.objects.get,
        "ledgertransaction": LedgerTransaction.objects.filter(booking="capture").get,
        "account": Account.objects.filter(code="sales").get,
    }
    row = rows[page]()
    listed = admin_client.get(f"/admin/payment/{page}/")
    assert listed.status_code == 200
    shown = admin_client.get(f"/admin/payment/{page}/{row.pk}/change/")
    assert shown.status_code == 200
    assert "£" in listed.content.decode()
    assert admin_client.get(f"/admin/payment/{page}/add/").status_code == 403
    assert admin_client.post(f"/admin/payment/{page}/{row.pk}/delete/").status_code == 403


@pytest.mark.parametrize("page", ["payment", "refund", "ledgertransaction"])
def test_admin_finds_by_order(admin_client: Client, order: Shop, page: str) -> None:
    found = admin_client.get(f"/admin/payment/{page}/?q={order.order}")
    assert str(order.order) in found.content.decode()
    nothing = admin_client.get(f"/admin/payment/{page}/?q={uuid4()}")
    assert "No " in nothing.content.decode()
    assert f'title="{order.order}"' not in nothing.content.decode()


@pytest.mark.parametrize("page", lists())
def test_an_admin_list_reads_little(admin_client: Client, order: Shop, page: str) -> None:
    for _ in range(9):
        order.refund(10)
    assert_reads_little(admin_client, page)


@pytest.mark.parametrize("page", ["payment_payment", "payment_ledgertransaction", "messaging_barrierrow"])
def test_an_admin_search_compares_ids(admin_client: Client, order: Shop, page: str) -> None:
    assert_finds_by_index(admin_client, page, str(order.order))


def test_amounts_are_shown_as_money(admin_client: Client, order: Shop) -> None:
    html, _ = opened(admin_client, "payment_ledgertransaction")
    assert ">−£19.99<" in html
    html = admin_client.get(f"/admin/payment/payment/{order.payment().pk}/change/").content.decode()
    assert all(amount in html for amount in ("£19.99", "£5.00"))
    assert ">1999<" not in html


def test_the_barrier_page_keeps_the_token(admin_client: Client, order: Shop) -> None:
    row = BarrierRow.objects.filter(command="payment.authorize_payment").get()
    html = admin_client.get(f"/admin/messaging/barrierrow/{row.pk}/change/").content.decode()
    assert "payment token" in html
    assert row.request["payment_token"] not in html
