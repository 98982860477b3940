"""What staff may do of another's orders, and who did what."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from celery_config.messaging.api import hide_tokens
from celery_config.saga.engine import runner
from celery_config.web.models import ChangeRecord
from order_project.erasure.data import reapply_erasure
from tests.service.order.conftest import REPLIES, Placed, Shop
from tests.service.order.test_api import ORDERS, WISH

pytestmark = pytest.mark.django_db


def staff_with(*codenames: str) -> APIClient:
    user = User.objects.create_user("eve", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = APIClient()
    client.force_authenticate(user)
    return client


class TestAnothersOrder:
    def test_staff_without_a_permission_see_their_own_alone(self, placed: Placed) -> None:
        eve = staff_with("change_order")
        own = eve.post(ORDERS, WISH, format="json").json()["order"]
        assert [row["id"] for row in eve.get(ORDERS).json()["results"]] == [own]
        assert eve.get(f"{ORDERS}{placed.id}/").status_code == 404
        assert eve.post(f"{ORDERS}{placed.id}/cancel/", {}, format="json").status_code == 404

    def test_who_may_see_it_may_not_yet_cancel_it(self, placed: Placed) -> None:
        eve = staff_with("view_order")
        assert eve.get(f"{ORDERS}{placed.id}/").status_code == 200
        answer = eve.post(f"{ORDERS}{placed.id}/cancel/", {}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
        assert "order.change_order" in answer.json()["detail"]

    def test_who_may_change_it_cancels_it(self, placed: Placed) -> None:
        eve = staff_with("view_order", "change_order")
        assert eve.post(f"{ORDERS}{placed.id}/cancel/", {}, format="json").status_code == 202

    @pytest.mark.parametrize(("codename", "status"), [("view_order", 403), ("add_order", 202)])
    def test_ordering_for_another(self, shop: Shop, codename: str, status: int) -> None:
        wish = WISH | {"customer": str(shop.customer.pk)}
        assert staff_with(codename).post(ORDERS, wish, format="json").status_code == status

    @pytest.mark.parametrize(("codename", "status"), [("add_order", 403), ("agree_price", 202)])
    def test_agreeing_on_a_price(self, shop: Shop, codename: str, status: int) -> None:
        lines = [{**WISH["lines"][0], "unit_price": 1}]
        answer = staff_with(codename).post(ORDERS, WISH | {"lines": lines}, format="json")
        assert answer.status_code == status


def test_a_refund_says_who_asked_for_it(placed: Placed) -> None:
    runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
    eve = staff_with("add_refund", "view_refund")
    url = f"{ORDERS}{placed.id}/refunds/"
    assert eve.post(url, {"amount": 255, "reason": "broken"}, format="json").json()["by"] == "eve"
    (listed,) = eve.get(url).json()["results"]
    assert listed["by"] == "eve"


def test_a_change_of_a_customer_is_kept_without_what_it_was(peer: Any, admin_client: Any, shop: Shop) -> None:
    url = f"/api/customers/{shop.customer.pk}/"
    peer.patch(url, {"email": "new@example.com", "name": shop.customer.name}, format="json")
    admin_client.patch(url, {"currency": "EUR"}, content_type="application/json")
    listed = admin_client.get(f"/api/changes/?kind=customer&key={shop.customer.pk}").json()["results"]
    assert [(row["by"], row["what"]) for row in listed] == [
        ("admin", ["currency"]),
        ("service:operator", ["email"]),
    ]
    peer.patch(url, {"currency": "EUR"}, format="json")
    assert ChangeRecord.objects.count() == 2
    reapply_erasure(shop.customer.pk, [])
    assert ChangeRecord.objects.count() == 0


def test_the_feed_has_no_payment_token() -> None:
    event = {"type": "order.order_placed", "data": {"order": "1", "payment_token": "tok_visa"}}
    assert hide_tokens(event) == {**event, "data": {"order": "1", "payment_token": ""}}
    assert event["data"]["payment_token"] == "tok_visa"  # type: ignore[index]
