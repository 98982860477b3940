"""Every page of order's admin, as an operator reads it; and how much each asks of the database."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import models
from django.test import Client
from django.urls import reverse

from celery_config.saga.models import OperatorAction, SagaDecision, SagaInstance, SagaStep
from order_project.domain import Flow
from order_project.models import OrderLine, Refund, SeenEvent
from tests.service.forms import make_label, registered
from tests.service.order.conftest import Placed, Shop
from tests.service.readable import assert_asks_no_more, find_code_words

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", registered(of_django=False), ids=make_label)
def test_a_page_has_plain_words(admin_client: Client, shop: Shop, model: type[models.Model]) -> None:
    shop.order()
    shop.place(flow=Flow.CHOREOGRAPHED)
    assert find_code_words(admin_client, model) == []


def refund_often(order: Any) -> None:
    for _ in range(50):
        Refund.objects.create(order_id=order, amount=1, reason="x", saga=uuid4())


def test_the_page_of_an_order_of_122_lines(admin_client: Client, placed: Placed) -> None:
    page = reverse("admin:order_order_change", args=[placed.id])

    def add_lines() -> None:
        lines = (
            OrderLine(order_id=placed.id, sku=f"X{n}", name="x", quantity=1, unit_price=5) for n in range(121)
        )
        OrderLine.objects.bulk_create(lines)
        refund_often(placed.id)

    refund_often(placed.id)
    assert assert_asks_no_more(admin_client, page, add_lines) < 30


def test_the_page_of_a_saga_with_a_long_history(admin_client: Client, placed: Placed) -> None:
    page = reverse("admin:saga_sagainstance_change", args=[placed.saga_id])
    SagaDecision.objects.create(
        saga_id=placed.saga_id, came="x", status_before="running", status_after="stopping"
    )
    OperatorAction.objects.create(
        saga_id=placed.saga_id, verb="retry", by="ada", why="x", what="", effect="x"
    )

    def add_history() -> None:
        for n in range(50):
            SagaStep.objects.create(
                saga_id=placed.saga_id, name=f"x{n}", position=n, kind="retriable", command="x.y"
            )
            SagaDecision.objects.create(
                saga_id=placed.saga_id, came="x", status_before="running", status_after="x"
            )
            OperatorAction.objects.create(
                saga_id=placed.saga_id, verb="x", by="ada", why="x", what="", effect="x"
            )

    assert SagaInstance.objects.get(pk=placed.saga_id).steps.exists()
    assert assert_asks_no_more(admin_client, page, add_history) < 30


def test_the_page_of_a_choreographed_order_with_many_events(admin_client: Client, shop: Shop) -> None:
    order = shop.place(flow=Flow.CHOREOGRAPHED).order
    page = reverse("admin:order_choreography_change", args=[order])
    SeenEvent.objects.create(choreography_id=order, kind="x", content={})

    def add_events() -> None:
        for n in range(50):
            SeenEvent.objects.create(choreography_id=order, kind=f"x{n}", content={"amount": n})

    assert assert_asks_no_more(admin_client, page, add_events) < 30
