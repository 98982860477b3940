"""Inventory's home: stock that is low, which the relay counts, and stock that is held."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from celery_config.messaging.observations import note
from inventory_app.board import LEVELS, count_stock
from inventory_app.models import Product

pytestmark = pytest.mark.django_db


def read(client: Client, part: str = "own") -> str:
    return client.get(reverse("admin:board", args=[part])).content.decode()


def test_low_stock_is_counted_without_what_is_held_or_not_sold(shop: Any, participant: Any) -> None:
    shop.stock(A=50, B=12, C=3, D=5)
    participant.do(shop.reserve(B=4, D=5))
    Product.objects.filter(sku="C").update(active=False)
    assert count_stock() == {"low": 2, "none": 1}


def test_the_page_shows_what_the_relay_counted_and_leads_to_it(
    shop: Any, participant: Any, admin_client: Client
) -> None:
    assert "not counted yet" in read(admin_client)
    shop.stock(A=50, B=2)
    participant.do(shop.reserve(A=1))
    note(LEVELS, count_stock())
    page = read(admin_client)
    assert "?left=low" in page
    assert "Reservations held" in page
    listed = admin_client.get(reverse("admin:inventory_stock_changelist"), {"left": "low"})
    assert [each.product_id for each in listed.context["cl"].result_list] == ["B"]


@pytest.mark.parametrize("part", ["own", "service"])
def test_a_poll_asks_the_database_little(
    part: str, shop: Any, admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    note(LEVELS, count_stock())
    read(admin_client, part)  # what a connection or process asks but once is no part of a poll
    # Two more read the permissions of those who are no administrators.
    with django_assert_max_num_queries(8):
        read(admin_client, part)
