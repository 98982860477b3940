"""What the admin's pages cost: few statements for any of them, and no order by which a large table would be sorted.

`./manage.py pages` measures the time of all of them, with a million orders.
"""

from __future__ import annotations

import random

from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from celery_config.web.admin import ServiceAdmin
from celery_config.web.lists import find_sorted_fields
from order_project.models import Order
from tests.bench.pages import MOST, Asked, Kind, list_addresses
from tests.service.order.conftest import Placed

DRAWN = 40


def draw_addresses(client: Client) -> list[Asked]:
    """Every fragment, and some of the pages."""
    found = [*list_addresses(client)]
    pages = [each for each in found if each.kind is not Kind.FRAGMENT]
    return [each for each in found if each.kind is Kind.FRAGMENT] + random.Random(1).sample(pages, DRAWN)


def test_a_page_takes_few_statements(admin_client: Client, placed: Placed) -> None:
    for asked in draw_addresses(admin_client):
        admin_client.get(asked.url)  # the session and content types are read but once
        with CaptureQueriesContext(connection) as statements:
            answer = admin_client.get(asked.url)
        assert answer.status_code < 500, asked
        assert len(statements.captured_queries) <= MOST[asked.kind][0], asked


def test_a_list_is_sorted_only_by_what_an_index_holds_in_order(admin_user: User) -> None:
    request = RequestFactory().get("/")
    request.user = admin_user
    assert {"created_at", "id"} <= find_sorted_fields(Order)
    assert not find_sorted_fields(Order) & {"status", "total", "currency", "ended_at"}
    for model, model_admin in admin.site._registry.items():
        if isinstance(model_admin, ServiceAdmin):
            columns = model_admin.get_sortable_by(request)
            fields = {str(getattr(each, "admin_order_field", each)).lstrip("-") for each in columns}
            assert fields <= find_sorted_fields(model), model
