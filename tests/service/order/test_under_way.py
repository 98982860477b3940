"""The limit on orders that a user has under way: off unless it is set, and never for what we hold up ourselves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from celery_config.common.service_calls import OPERATOR
from celery_config.saga.models import SagaClock, SagaInstance
from order_project.models import Choreography, Order
from tests.service.order.conftest import Shop
from tests.service.order.test_api import WISH, client_of, post
from tests.service.peer import bearer

pytestmark = pytest.mark.django_db
LIMIT = 2


@pytest.fixture
def ada(shop: Shop, settings: Any) -> APIClient:
    settings.ORDERS_UNDER_WAY = LIMIT
    return client_of(User.objects.create_user("ada", "ada@example.com"))


def fill(client: APIClient, **more: Any) -> None:
    assert [post(client, key=f"first-{n}", **more).status_code for n in range(LIMIT)] == [202] * LIMIT


def test_one_more_is_refused_and_writes_nothing(ada: APIClient) -> None:
    fill(ada)
    answer = post(ada)
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_under_way")
    assert answer.headers["Retry-After"] == "5"
    assert Order.objects.count() == LIMIT
    assert post(client_of(User.objects.create_user("bob"))).status_code == 202


def test_a_repeat_is_answered_all_the_same(ada: APIClient) -> None:
    fill(ada)
    answer = post(ada, key="first-0")
    assert (answer.status_code, answer.json()["repeated"]) == (202, True)


def test_of_a_batch_as_many_are_placed_as_there_is_room_for(ada: APIClient) -> None:
    post(ada)
    answer = ada.post("/api/orders/batch/", {"orders": [WISH] * 3}, format="json")
    assert [each["status"] for each in answer.json()["results"]] == [202, 429, 429]


@pytest.mark.parametrize("flow", ["orchestrated", "choreographed"])
def test_what_stands_through_our_own_fault_does_not_count(ada: APIClient, flow: str) -> None:
    fill(ada, flow=flow)
    SagaInstance.objects.update(status="parked")
    Choreography.objects.update(status="parked")
    assert post(ada).status_code == 202


def test_while_saga_time_stands_none_counts(ada: APIClient) -> None:
    fill(ada)
    SagaClock.objects.update(stands_since=timezone.now(), stands_for="broker")
    assert post(ada).status_code == 202


def test_what_is_older_than_its_deadline_does_not_count(ada: APIClient) -> None:
    fill(ada)
    Order.objects.update(created_at=timezone.now() - timedelta(days=1))
    assert post(ada).status_code == 202


def test_staff_and_services_have_no_limit(ada: APIClient, shop: Shop) -> None:
    service = APIClient()
    service.credentials(HTTP_AUTHORIZATION=bearer(OPERATOR))
    for client in (service, client_of(User.objects.create_superuser("root"))):
        given = {"customer": str(shop.customer.pk)}
        assert [post(client, **given).status_code for _ in range(LIMIT + 1)] == [202] * (LIMIT + 1)


def test_without_the_setting_nothing_is_asked(ada: APIClient, settings: Any) -> None:
    def count_queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert post(ada).status_code == 202
        return len(queries)

    post(ada)
    with_limit = count_queries()
    settings.ORDERS_UNDER_WAY = 0
    assert count_queries() == with_limit - 2
