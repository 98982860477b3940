"""Every page and form of order's admin, with whatever may be sent."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.db import models
from django.test import Client

from order_project.addresses import LABELS
from order_project.domain import Flow
from order_project.models import Customer, Desk
from tests.service.forms import assert_answers_everything, make_label, registered, send
from tests.service.order.conftest import Shop

GIVEN = {"name": "Ada", "email": "ada@example.com", "username": "ada"}


# The desk's form is sent elsewhere: tests/service/order/desk/test_desk.py.
@pytest.mark.parametrize("model", [each for each in registered() if each is not Desk], ids=make_label)
def test_every_page_answers_everything(
    admin_client: Client, shop: Shop, settings: Any, model: type[models.Model]
) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    shop.order()
    shop.place(flow=Flow.CHOREOGRAPHED)
    assert_answers_everything(admin_client, model, GIVEN)


HOME = {"name": "Ada", "line1": "1 High St", "city": "London", "postal_code": "SW1", "country": "GB"}
KOWLOON = {"name": "Ada", "line1": "1 Harbour Road", "region": "Kowloon", "country": "HK"}
DENVER = {
    **HOME,
    "line2": "Flat 3",
    "city": "Denver",
    "region": "CO",
    "postal_code": "80202",
    "country": "US",
}
ADDRESSES: list[Any] = [
    None,
    HOME,
    KOWLOON,
    DENVER,
    *({**DENVER, part: value} for part in DENVER for value in ("", " ", "x" * 5000)),
    *({name: value for name, value in address.items() if name != part}
      for address in (HOME, KOWLOON, DENVER) for part in address),
    *({**HOME, "city": f"a{mark}b"} for mark in "\0\n\a\u202e\u200f\ufffd\u200c\u3000"),
    *({**HOME, "name": unseen} for unseen in ("\u200b", "\u200d", "\u3164")),
    {**HOME, "country": "ZZ"},
]  # fmt: skip
# What a form with a field for each part cannot send.
NO_ADDRESSES: list[Any] = [
    {**HOME, "city": "\ud83d"}, {**HOME, "city": None}, {**HOME, "city": [[]]},
    {**HOME, "state": "NY"}, {}, [], 7, "home",
]  # fmt: skip
FIELDS: dict[str, list[Any]] = {
    "name": ["Ada", "", "x" * 201, "a\0", "\u200b", "\u3164", "\u200bAda"],
    "email": ["", "ada@example.com", "ада@пример.рф", "ada", "a\0@example.com", "x" * 250 + "@a.example"],
    "currency": ["", "EUR", "eur", "ZZZ", "EURO", "\0"],
    "reference": ["", "7", "x" * 65, "\0", "\u2800"],
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
        parts = value or {} if "address" in field else {"": value}
        given = {"name": "Ada", **{f"{field}_{part}".rstrip("_"): text for part, text in parts.items()}}
        page = send(admin_client, "/admin/order/customer/add/", given, post=True)
        errors = page.context["adminform"].form.errors if page.status_code == 200 else {}
        refused = [name for name in errors if name == field]
        assert (answer.status_code, refused) == ((400, [field]) if errors else (201, [])), (field, value)


@pytest.mark.django_db
@pytest.mark.parametrize("value", NO_ADDRESSES, ids=repr)
def test_the_api_refuses_what_no_form_sends(peer: Any, value: Any) -> None:
    body = json.dumps({"name": "Ada", "billing_address": value})
    assert peer.post("/api/customers/", body, content_type="application/json").status_code == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"city": ""},
        {"line1": "x" * 5000},
        {"country": "US"},
        {"country": "ZZ"},
        {"postal_code": " "},
        {"line2": "a\0"},
        {"country": "a\0"},
        {"city": "\ufffd"},
        {"city": "a\nb"},
        {"name": "\u200b"},
    ],
)
def test_an_address_has_the_same_errors(admin_client: Client, peer: Any, wrong: dict[str, str]) -> None:
    body = {"name": "Ada", "billing_address": {**HOME, **wrong}}
    (told,) = peer.post("/api/customers/", body, format="json").json()["errors"]
    given = {"name": "Ada", **{f"billing_address_{part}": text for part, text in (HOME | wrong).items()}}
    page = send(admin_client, "/admin/order/customer/add/", given, post=True)
    form = page.context["adminform"].form
    part = told["field"].removeprefix("billing_address.")
    assert form.errors["billing_address"] == [f"{LABELS[part]}: {told['detail']}"]
    boxes = [box["attrs"] for box in form["billing_address"].subwidgets[0].data["subwidgets"]]
    assert [box["title"] for box in boxes if "errors" in box["class"]] == [LABELS[part]]


def test_the_parts_have_the_names_that_people_use(admin_client: Client) -> None:
    page = send(admin_client, "/admin/order/customer/add/").content.decode()
    assert re.findall(r'for="id_billing_address_\w+">([^<]+)<', page) == [
        "Name", "Address line 1", "Address line 2", "City", "Region", "Postal code", "Country",
    ]  # fmt: skip
