"""Somebody is told of what fails before it waits for a decision: one condition for each side that fails."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from celery_config.common.conditions import Condition, ConditionKind, Severity
from celery_config.saga.failing_conditions import MANY, find_failing
from celery_config.saga.models import StepTry
from tests.service.order.conftest import Placed, Shop
from tests.service.order.saga.admin.test_failing import LINE, cancel, fail

pytestmark = pytest.mark.django_db
ANSWERED = 'POST /x: answered 503: {"error": {"reason": "closed"}}'


def fail_to(placed: Placed, step: str, reason: str = ANSWERED, number: int = 3) -> None:
    """Let a service tell that a step failed for the third time."""
    now = timezone.now()
    StepTry.objects.create(
        event=uuid4(), flow=placed.saga_id, step=step, operation="do", number=number, code="unknown_outcome",
        reason=reason, at=now, next_at=now,
    )  # fmt: skip


def find() -> dict[str, Condition]:
    return {each.cause: each for each in find_failing()}


def test_a_provider_that_is_down_is_one_condition_whatever_it_was_asked(shop: Shop) -> None:
    for _ in range(2):
        placed = shop.order()
        cancel(placed)
        fail(placed, 4)
    fail_to(shop.order(), "authorize-payment")
    fail_to(shop.order(), "authorize-payment", "ReadTimeout: timed out")
    booked = shop.order()
    booked.log_as("done", "authorize-payment", "reserve-stock")
    fail_to(booked, "book-shipment")
    found = find()
    assert {cause: each.count for cause, each in found.items()} == {
        "the payment provider": 4, "the carrier": 1,
    }  # fmt: skip
    provider = found["the payment provider"]
    assert provider.kind is ConditionKind.FAILING
    assert provider.sentence == f"4 sagas are tried again and again: {LINE}."
    assert provider.advice.startswith("Ask the other side why it fails")
    assert "Pause new orders" in provider.advice
    assert provider.link.endswith("/admin/"), "the board has a row for each line"
    assert provider.patience > 0


def test_a_service_that_fails_itself_is_named(shop: Shop) -> None:
    fail_to(shop.order(), "authorize-payment", "a row is missing")
    (one,) = find_failing()
    assert one.cause == "payment"
    assert one.sentence.startswith("1 saga is tried again and again: payment could not")


@pytest.mark.parametrize(("count", "severity"), [(MANY - 1, Severity.TICKET), (MANY, Severity.PAGE)])
def test_many_are_looked_at_now(shop: Shop, count: int, severity: Severity) -> None:
    for _ in range(count):
        fail_to(shop.order(), "authorize-payment")
    (one,) = find_failing()
    assert one.severity is severity


def test_its_link_leads_to_the_list_with_the_act(shop: Shop, admin_client: Client) -> None:
    for _ in range(2):
        fail_to(shop.order(), "authorize-payment")
    (one,) = find_failing()
    assert "Bring to an end: all 2" in admin_client.get("/" + one.link.split("/", 3)[3]).content.decode()


def test_of_more_than_are_read_it_says_at_least(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celery_config.saga.failing_conditions.MOST_POLLED", 2)
    for _ in range(3):
        fail_to(shop.order(), "authorize-payment")
    (one,) = find_failing()
    assert one.sentence.startswith("At least 2 sagas are tried again and again")


def test_what_was_tried_once_is_not_told(placed: Placed) -> None:
    fail_to(placed, "authorize-payment", number=1)
    assert find() == {}
