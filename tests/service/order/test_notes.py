"""Notes of staff over HTTP: kept once with the name, hidden from customers, and gone with the customer's data."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from rest_framework.test import APIClient

from celery_config.common.roles import Role
from order_project.erasure.data import erase_customer
from order_project.models import OrderNote
from tests.service.order.conftest import Placed
from tests.service.shipped import ship

pytestmark = pytest.mark.django_db


@pytest.fixture
def api() -> APIClient:
    ship()
    user = User.objects.create_user("sue", is_staff=True)
    user.groups.add(Group.objects.get(name=Role.SUPPORT))
    client = APIClient()
    client.force_authenticate(user)
    return client


def add(api: APIClient, order: Any, text: Any, key: str = "") -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return api.post(f"/api/orders/{order}/notes/", {"text": text}, format="json", headers=headers)


def test_a_note_is_kept_once_with_the_name(api: APIClient, placed: Placed) -> None:
    for _ in range(2):
        answer = add(api, placed.id, "She moves on Friday", key="k")
        assert (answer.status_code, answer.json()["by"]) == (201, "sue")
    assert answer["Idempotent-Replayed"] == "true"
    add(api, placed.id, "She has moved")
    rows = api.get(f"/api/orders/{placed.id}/notes/").json()["results"]
    assert [row["text"] for row in rows] == ["She has moved", "She moves on Friday"]


@pytest.mark.parametrize("text", ["", "\u200b", "x" * 2001, 7, None])
def test_what_says_nothing_is_refused(api: APIClient, placed: Placed, text: Any) -> None:
    assert add(api, placed.id, text).status_code == 400
    assert not OrderNote.objects.exists()


def test_the_customer_reads_none(placed: Placed) -> None:
    OrderNote.objects.create(order=placed.order, by="sue", text="x")
    client = APIClient()
    client.force_authenticate(User.objects.create_user("ann"))
    assert client.get(f"/api/orders/{placed.id}/notes/").status_code == 403
    assert add(client, placed.id, "x").status_code == 403


def test_after_an_erasure_the_key_makes_no_second_one(api: APIClient, placed: Placed) -> None:
    add(api, placed.id, "She moves on Friday", key="k")
    with transaction.atomic():
        erase_customer(placed.order.customer, [placed.id])  # type: ignore[arg-type]
    answer = add(api, placed.id, "She moves on Friday", key="k")
    assert (answer.status_code, answer.json()["code"]) == (410, "idempotency_key_gone")
    assert not OrderNote.objects.exists()


def test_after_an_erasure_none_is_added(api: APIClient, placed: Placed) -> None:
    with transaction.atomic():
        erase_customer(placed.order.customer, [placed.id])  # type: ignore[arg-type]
    answer = add(api, placed.id, "Ada Lovelace called again")
    assert (answer.status_code, answer.json()["code"]) == (409, "operator_refused")
    assert not OrderNote.objects.exists()


def test_an_order_that_is_not_there_is_not_found(api: APIClient) -> None:
    assert add(api, "01a22fca-48a8-7aec-afaf-b40d6113449a", "x").status_code == 404
