"""Somebody is told when most orders are cancelled for one cause."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from celery_config.common.conditions import ConditionKind, Severity
from celery_config.saga.models import FlowSum
from order_project.conditions import LEAST, find_cancelled

pytestmark = pytest.mark.django_db
REFUSED = "address_unreachable"


def end(count: int, code: str = "", *, minutes: float = 0, flow: str = "place-order") -> None:
    """So many ended, completed or cancelled for a cause."""
    at = (timezone.now() - timedelta(minutes=minutes)).replace(second=0, microsecond=0)
    status = "compensated" if code else "completed"
    facts = {"seconds": 60, "at": at, "flow": flow}
    ended, _ = FlowSum.objects.get_or_create(
        **facts, kind="ended", key=status, bucket=1, defaults={"count": 0}
    )
    FlowSum.objects.filter(pk=ended.pk).update(count=ended.count + count)
    if code:
        FlowSum.objects.create(**facts, kind="cause", key=code, bucket=-1, count=count)


def test_most_of_the_last_that_ended_are_told_with_their_cause(admin_client: Client) -> None:
    end(12, REFUSED)
    end(3, REFUSED, flow="place-order (choreographed)")
    end(4)
    (one,) = find_cancelled()
    assert one.sentence == "15 of the last 19 orders were cancelled for one cause: address unreachable."
    assert (one.kind, one.cause, one.count) == (ConditionKind.CANCELLED, REFUSED, 15)
    assert one.severity is Severity.PAGE
    assert "pause new orders" in one.advice
    assert admin_client.get("/" + one.link.split("/", 3)[3]).status_code == 200


def test_what_ended_earlier_counts_only_while_few_ended_since() -> None:
    end(100, minutes=20)
    end(LEAST - 1, REFUSED)
    assert [*find_cancelled()] == []
    end(1, "sold_out", minutes=1)
    (one,) = find_cancelled()
    assert one.count == LEAST - 1


def test_with_few_orders_the_last_hour_counts() -> None:
    for minutes in range(0, 50, 5):
        end(1, REFUSED, minutes=minutes)
    assert len([*find_cancelled()]) == 1


@pytest.mark.parametrize("code", ["cancelled", "unknown_outcome", "dead_letter"])
def test_what_is_told_otherwise_is_not_told_twice(code: str) -> None:
    end(30, code)
    assert [*find_cancelled()] == []


def test_a_half_a_few_and_what_is_long_ago_are_daily_business() -> None:
    end(LEAST - 1, REFUSED)
    assert [*find_cancelled()] == []
    end(LEAST, minutes=0)
    assert [*find_cancelled()] == []
    FlowSum.objects.all().delete()
    end(30, REFUSED, minutes=70)
    assert [*find_cancelled()] == []


def test_it_is_one_query(django_assert_num_queries: object) -> None:
    end(20, REFUSED)
    with django_assert_num_queries(1):  # type: ignore[operator]
        assert len([*find_cancelled()]) == 1
