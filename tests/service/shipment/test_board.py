"""Shipment's home: parcels by state."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from celery_config.messaging.observations import note
from shipment_app.board import PARCELS, count_parcels
from shipment_app.models import Shipment

pytestmark = pytest.mark.django_db


def ship(state: str) -> None:
    Shipment.objects.create(
        id=uuid4(), order=uuid4(), state=state, carrier_id=str(uuid4()), tracking_number="T", name="Ada", line1="1",
        city="London", postal_code="SW1", country="GB", weight_grams=1, parcels=1,
    )  # fmt: skip


def read(client: Client, part: str = "own") -> str:
    return client.get(reverse("admin:board", args=[part])).content.decode()


def test_parcels_are_counted_by_state(admin_client: Client) -> None:
    for state in ("booked", "dispatched", "dispatched", "cancelled"):
        ship(state)
    assert count_parcels() == {"booked": 1, "dispatched": 2, "cancelled": 1}
    assert "not counted yet" in read(admin_client)
    note(PARCELS, count_parcels())
    page = read(admin_client)
    assert "not counted yet" not in page
    assert "state__exact=booked" in page


@pytest.mark.parametrize("part", ["own", "service"])
def test_a_poll_asks_the_database_little(
    part: str, admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    ship("booked")
    note(PARCELS, count_parcels())
    read(admin_client, part)  # what a connection or process asks but once is no part of a poll
    # Two more read the permissions of those who are no administrators.
    with django_assert_max_num_queries(8):
        read(admin_client, part)
