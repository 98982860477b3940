"""From an order to its payment, and back."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from payment_app.models import Payment
from tests.service.forms import ensure_row

pytestmark = pytest.mark.django_db
PUBLIC = {name: f"https://{name}.example.com" for name in ("order", "payment", "inventory", "shipment")}


def test_the_address_of_an_order_leads_to_its_payment(admin_client: Client) -> None:
    payment: Any = ensure_row(Payment)
    answer = admin_client.get(f"/admin/payment/payment/of-order/{payment.order}/")
    assert answer["Location"] == reverse("admin:payment_payment_change", args=[payment.pk])


def test_an_order_without_a_payment_is_said(admin_client: Client) -> None:
    order = uuid4()
    answer = admin_client.get(f"/admin/payment/payment/of-order/{order}/", follow=True)
    assert f"There is no payment of order {order} here" in answer.content.decode()


def test_the_payment_leads_to_the_order_and_to_what_the_others_did(
    admin_client: Client, settings: Any
) -> None:
    settings.PUBLIC_URLS = PUBLIC
    payment: Any = ensure_row(Payment)
    html = admin_client.get(reverse("admin:payment_payment_change", args=[payment.pk])).content.decode()
    for url in (
        f"https://order.example.com/admin/order/order/{payment.order}/change/",
        f"https://inventory.example.com/admin/inventory/reservation/of-order/{payment.order}/",
        f"https://shipment.example.com/admin/shipment/shipment/of-order/{payment.order}/",
    ):
        assert f'href="{url}"' in html
    assert "payment.example.com/admin/payment" not in html
