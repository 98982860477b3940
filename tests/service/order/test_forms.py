"""Every page and form of order's admin, with whatever may be sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import models
from django.test import Client

from order_project.domain import Flow
from order_project.models import Customer
from tests.service.forms import assert_answers_everything, make_label, registered, send
from tests.service.order.conftest import Shop

GIVEN = {"name": "Ada", "email": "ada@example.com", "username": "ada"}


@pytest.mark.parametrize("model", registered(), ids=make_label)
def test_every_page_answers_everything(
    admin_client: Client, shop: Shop, settings: Any, model: type[models.Model]
) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    shop.order()
    shop.place(flow=Flow.CHOREOGRAPHED)
    assert_answers_everything(admin_client, model, GIVEN)


HOME = {"name": "Ada", "line1": "1 High St", "city": "London", "postal_code": "SW1", "country": "GB"}
ADDRESSES: list[Any] = [
    None,
    HOME,
    *({**HOME, part: value} for part in HOME for value in ("", "x" * 5000)),
    *({**HOME, "city": value} for value in ("a\0", "\ud83d", None, 7, [[]])),
    *({name: value for name, value in HOME.items() if name != part} for part in HOME),
    {**HOME, "state": "NY"},
    {**HOME, "country": "ZZ"},
    {},
    [],
    7,
    "home",
]
FIELDS: dict[str, list[Any]] = {
    "name": ["Ada", "", "x" * 201, "a\0"],
    "email": ["", "ada@example.com", "ада@пример.рф", "ada", "a\0@example.com", "x" * 250 + "@a.example"],
    "currency": ["", "EUR", "eur", "ZZZ", "EURO", "\0"],
    "reference": ["", "7", "x" * 65, "\0"],
    "billing_address": ADDRESSES,
    "delivery_address": ADDRESSES[:3],
}


@pytest.mark.parametrize("field", FIELDS)
def test_the_form_and_the_api_refuse_the_same(admin_client: Client, peer: Any, field: str) -> None:
    """What one takes, the other takes."""
    for value in FIELDS[field]:
        body = json.dumps({"name": "Ada", field: value})
        answer = peer.post("/api/customers/", body, content_type="application/json")
        Customer.objects.all().delete()
        shown = json.dumps(value) if "address" in field else value
        given = {"name": "Ada", "billing_address": "null", "delivery_address": "null", field: shown}
        page = send(admin_client, "/admin/order/customer/add/", given, post=True)
        errors = page.context["adminform"].form.errors if page.status_code == 200 else {}
        refused = [name for name in errors if name == field]
        assert (answer.status_code, refused) == ((400, [field]) if errors else (201, [])), (field, value)


@pytest.mark.parametrize("wrong", [{"city": ""}, {"line1": "x" * 5000}, {"state": "NY"}, {"country": "ZZ"}])
def test_an_address_has_the_same_errors(admin_client: Client, peer: Any, wrong: dict[str, str]) -> None:
    body = {"name": "Ada", "billing_address": {**HOME, **wrong}}
    told = peer.post("/api/customers/", body, format="json").json()["errors"]
    given = {
        "name": "Ada",
        "billing_address": json.dumps(body["billing_address"]),
        "delivery_address": "null",
    }
    page = send(admin_client, "/admin/order/customer/add/", given, post=True)
    shown = page.context["adminform"].form.errors["billing_address"]
    assert [f"billing_address.{error}" for error in shown] == [f"{e['field']}: {e['detail']}" for e in told]
