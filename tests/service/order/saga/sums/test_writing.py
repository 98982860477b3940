"""Sums by the minute: right after each look, also with several relays, and after a crash in between."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from celery_config.contracts.inventory import InventoryFetched
from celery_config.contracts.payment import PaymentReceived
from celery_config.saga.models import FlowSum, SagaInstance, SagaStep, SumMark
from celery_config.saga.sums import writing
from celery_config.saga.sums.buckets import find_bucket
from celery_config.saga.sums.writing import HOUR, MINUTE, delete_old_sums, sum_again, sum_up
from order_project.models import Choreography, Customer, Order, SeenEvent
from tests.service.together import concurrent

pytestmark = pytest.mark.django_db
NOW = timezone.now()
MINUTE_NOW = NOW.replace(second=0, microsecond=0)


def end(
    at: datetime, status: str = "completed", *, took: float = 2.0, code: str = "", steps: Any = ()
) -> SagaInstance:
    """Make a saga that ended; `steps`: how many seconds after the start each was done."""
    began = at - timedelta(seconds=took)
    made = SagaInstance.objects.create(
        name="place-order", version=1, subject=str(uuid4()), data={}, status=status, cause={"code": code},
        since=at, deadline_at=at, started_at=began, ended_at=at,
    )  # fmt: skip
    SagaStep.objects.bulk_create(
        SagaStep(
            saga=made, name=name, position=number, kind="retriable", command="c", logged="done",
            updated_at=began + timedelta(seconds=after),
        )
        for number, (name, after) in enumerate(steps)
    )  # fmt: skip
    return made


def read(kind: str, seconds: int = MINUTE) -> Counter[tuple[datetime, str, int]]:
    rows = FlowSum.objects.filter(kind=kind, seconds=seconds)
    return Counter(
        {(at, key, bucket): n for at, key, bucket, n in rows.values_list("at", "key", "bucket", "count")}
    )


def total(kind: str, seconds: int = MINUTE) -> int:
    return sum(FlowSum.objects.filter(kind=kind, seconds=seconds).values_list("count", flat=True))


def settle(at: datetime) -> None:
    """Let the sums be final up to a minute, as when the relay looked then."""
    SumMark.objects.update_or_create(pk=1, defaults={"summed_to": at, "settled_to": at})


def sum_to_the_end(seconds: int, ended: int) -> None:
    """Look until the sums have what ended: transactions of other services on the same server are waited for, too."""
    by = time.monotonic() + 30
    sum_up()  # notes which transactions are open
    while total("ended", seconds) < ended and time.monotonic() < by:
        time.sleep(0.05)
        sum_up()


class TestSums:
    def test_count_what_ended_by_outcome_duration_and_cause(self) -> None:
        end(MINUTE_NOW, took=2)
        end(MINUTE_NOW, took=2)
        end(MINUTE_NOW, "compensated", took=14, code="out_of_stock")
        sum_up()
        assert read("ended") == {
            (MINUTE_NOW, "completed", find_bucket(2)): 2,
            (MINUTE_NOW, "compensated", find_bucket(14)): 1,
        }
        assert read("cause") == {(MINUTE_NOW, "out_of_stock", -1): 1}
        assert total("began") == 3

    def test_count_each_step_from_the_one_before(self) -> None:
        end(MINUTE_NOW, took=9, steps=[("a", 1), ("b", 5), ("c", 5.5)])
        sum_up()
        assert read("step") == {
            (MINUTE_NOW, "a", find_bucket(1)): 1,
            (MINUTE_NOW, "b", find_bucket(4)): 1,
            (MINUTE_NOW, "c", find_bucket(0.5)): 1,
        }

    def test_leave_out_the_steps_of_what_was_undone(self) -> None:
        end(MINUTE_NOW, "compensated", steps=[("a", 1)])
        sum_up()
        assert not read("step")

    def test_count_choreographed_orders(self) -> None:
        order = Order.objects.create(
            customer=Customer.objects.create(name="Ada"), status="confirmed", currency="EUR", total=1, weight_grams=1,
            address={}, created_at=MINUTE_NOW - timedelta(seconds=3), ended_at=MINUTE_NOW,
        )  # fmt: skip
        row = Choreography.objects.create(
            order=order, placed={}, status="completed", since=NOW, deadline_at=NOW
        )
        for kind, after in ((PaymentReceived, 1), (InventoryFetched, 3)):
            at = order.created_at + timedelta(seconds=after)
            SeenEvent.objects.create(choreography=row, kind=kind.wire_name(), content={}, at=at)
        sum_up()
        assert read("ended") == {(MINUTE_NOW, "completed", find_bucket(3)): 1}
        assert {key for _, key, _ in read("step")} == {"authorize-payment", "reserve-stock"}
        assert total("began") == 1

    def test_do_not_change_by_a_second_look(self) -> None:
        end(MINUTE_NOW)
        sum_up()
        first = set(FlowSum.objects.values_list("pk", "count"))
        sum_up()
        assert set(FlowSum.objects.values_list("pk", "count")) == first

    def test_take_in_what_ended_since(self) -> None:
        end(MINUTE_NOW)
        sum_up()
        end(MINUTE_NOW)
        sum_up()
        assert total("ended") == total("ended", HOUR) == 2

    def test_of_a_final_minute_are_read_no_more(self) -> None:
        at = MINUTE_NOW - timedelta(minutes=30)
        settle(at + timedelta(minutes=1))
        end(at)
        sum_up()
        assert total("ended") == 0

    def test_begin_again_on_another_server(self) -> None:
        """Its transactions have other numbers: those of the old one would be waited for without end."""
        settle(MINUTE_NOW - timedelta(minutes=5))
        SumMark.objects.update(seen_at=NOW - timedelta(minutes=3), seen_transaction=2**60)
        sum_up()
        mark = SumMark.objects.get()
        assert mark.seen_at is not None
        assert mark.seen_at >= NOW
        assert mark.seen_transaction < 2**60


@pytest.mark.django_db(transaction=True)
class TestFinalSums:
    """A minute is final when no transaction is open that could add to it; a test's own would be one."""

    def test_of_hours_are_the_sums_of_their_minutes(self) -> None:
        hour = MINUTE_NOW.replace(minute=0) - timedelta(hours=3)
        for minute in (0, 1, 59, 60):
            end(hour + timedelta(minutes=minute))
        sum_to_the_end(HOUR, 4)
        by_hour = {at: n for (at, _, _), n in read("ended", HOUR).items()}
        assert by_hour == {hour: 3, hour + timedelta(hours=1): 1}

    def test_are_not_made_twice_after_a_crash(self, monkeypatch: pytest.MonkeyPatch) -> None:
        end(MINUTE_NOW - timedelta(minutes=30))
        settle(MINUTE_NOW - timedelta(minutes=40))
        with monkeypatch.context() as broken:
            broken.setattr(SumMark, "save", lambda self: 1 / 0)
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                sum_up()
        sum_to_the_end(MINUTE, 1)
        assert total("ended") == 1

    def test_are_made_again_for_a_row_that_recovery_wrote(self) -> None:
        at = MINUTE_NOW - timedelta(hours=5)
        settle(MINUTE_NOW)
        end(at)
        sum_again(at)
        sum_to_the_end(HOUR, 1)
        assert total("ended") == total("ended", HOUR) == 1

    def test_reach_back_to_what_ended_before_the_first_look(self) -> None:
        end(NOW - timedelta(days=6))
        end(NOW - timedelta(days=60))
        sum_to_the_end(HOUR, 1)
        assert total("ended", HOUR) == 1


class TestRetention:
    def test_deletes_minutes_after_two_days_and_hours_with_the_log(self) -> None:
        settle(MINUTE_NOW)
        for seconds, days in ((MINUTE, 3), (MINUTE, 1), (HOUR, 3), (HOUR, 100)):
            FlowSum.objects.create(
                seconds=seconds, at=NOW - timedelta(days=days), flow="f", kind="began", bucket=-1, count=1
            )
        while delete_old_sums(batch=1):
            pass
        left = {(row.seconds, (NOW - row.at).days) for row in FlowSum.objects.all()}
        assert left == {(MINUTE, 1), (HOUR, 3)}

    def test_keeps_the_minutes_of_hours_that_are_not_final(self) -> None:
        settle(NOW - timedelta(days=5))
        FlowSum.objects.create(
            seconds=MINUTE, at=NOW - timedelta(days=4), flow="f", kind="began", bucket=-1, count=1
        )
        delete_old_sums()
        assert FlowSum.objects.exists()


@concurrent
class TestSeveralRelays:
    def test_sum_the_same_once(self, together: Callable[..., list[Any]]) -> None:
        for _ in range(20):
            end(MINUTE_NOW)
        results = together(*[sum_up] * 4)
        assert [each for each in results if each is not None] == []
        sum_up()
        assert total("ended") == total("ended", HOUR) == 20

    def test_wait_for_a_transaction_that_ends_a_flow_late(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It wrote its time before the look and commits after it."""
        at = MINUTE_NOW - timedelta(minutes=30)
        SumMark.objects.create(summed_to=at, settled_to=at)
        other = connection.copy()
        other.set_autocommit(False)
        made = end(NOW)
        try:
            with other.cursor() as cursor:
                cursor.execute("UPDATE saga_sagainstance SET ended_at = %s WHERE id = %s", [at, made.pk])
            monkeypatch.setattr(writing, "RECENT", timedelta())
            for _ in range(3):
                sum_up()
            assert SumMark.objects.get().summed_to <= at
            other.commit()
        finally:
            other.close()
        sum_to_the_end(MINUTE, 1)
        assert SumMark.objects.get().summed_to > at
        assert (at, "completed") in {(minute, key) for minute, key, _ in read("ended")}
