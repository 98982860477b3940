"""Idempotency keys of the catalogue and the stock: the rules are those of the order service's requests."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from celery_config.web.idempotency_keys import REPLAYED
from inventory_app.models import Movement, Product, Stock
from tests.service.together import concurrent, together

pytestmark = pytest.mark.django_db
LAMP = {"sku": "LAMP", "name": "Lamp", "price": 500, "currency": "GBP", "weight_grams": 100}
PUT = {"products": [LAMP]}


def make_client() -> APIClient:
    client = APIClient()
    user, _ = User.objects.get_or_create(username="ada", is_staff=True, is_superuser=True)
    client.force_authenticate(user)
    return client


def post(client: APIClient, url: str, body: Any, key: str) -> Any:
    return client.post(f"/api/{url}/", body, format="json", headers={"Idempotency-Key": key})


@pytest.fixture
def ada(db: None) -> APIClient:
    client = make_client()
    assert post(client, "products", PUT, "first").status_code == 200
    return client


def test_a_late_repeat_does_not_bring_an_old_price_back(ada: APIClient) -> None:
    post(ada, "products", {"products": [{**LAMP, "price": 900}]}, "later")
    again = post(ada, "products", PUT, "first")
    assert (again.status_code, again.headers[REPLAYED]) == (200, "true")
    assert again.json() == {"created": 1, "changed": 0, "unchanged": 0, "warnings": []}
    assert Product.objects.get().price == 900


def test_stock_is_opened_and_adjusted_once(ada: APIClient) -> None:
    opening = {"items": [{"sku": "LAMP", "quantity": 7}]}
    adjusting = {"adjustment": str(uuid4()), "sku": "LAMP", "quantity": -2, "reason": "broken"}
    for url, body in (("stock/opening", opening), ("stock/adjustments", adjusting)):
        first, again = post(ada, url, body, url), post(ada, url, body, url)
        assert (first.status_code, again.json(), again.get(REPLAYED)) == (200, first.json(), "true")
    other = post(ada, "stock/adjustments", {**adjusting, "adjustment": str(uuid4())}, "stock/adjustments")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert Stock.objects.get().on_hand == 5
    (made,) = ada.get("/api/movements/", {"idempotency_key": "stock/adjustments"}).json()["results"]
    assert made["kind"] == "adjust"
    assert ada.get("/api/movements/", {"idempotency_key": "first"}).json()["results"] == []


@concurrent
def test_many_at_once_are_one() -> None:
    post(make_client(), "products", PUT, "first")
    raised = {"products": [{**LAMP, "price": 900}]}
    clients = [make_client() for _ in range(4)]
    answers = together(*[lambda client=client: post(client, "products", raised, "k") for client in clients])
    assert [answer.json()["changed"] for answer in answers] == [1] * 4
    assert sorted(answer.get(REPLAYED, "") for answer in answers) == [""] + ["true"] * 3
    assert not Movement.objects.exists()
