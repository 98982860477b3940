"""Writing to the outbox."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from celery_config.contracts.base import decode
from celery_config.messaging.inbox.subscriptions import Envelope
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox import relay, writing
from tests.service.together import postgresql
from tests.trip import HotelBooked

MESSAGE = {"task": "payment.authorize_payment", "args": [{}], "kwargs": {"x": 1}, "options": {"task_id": "t"}}


@pytest.mark.django_db(transaction=True)
class TestTransaction:
    def test_a_promise_outside_a_transaction_is_refused(self) -> None:
        """Rule 1 (the start): a row must stand or fall with what makes it true."""
        with pytest.raises(RuntimeError, match="wrap this in atomic"):
            writing.add_task(MESSAGE, saga=None)
        with pytest.raises(RuntimeError, match="wrap this in atomic"):
            writing.add_events([writing.cloud_event(HotelBooked(booking=uuid4()), subject="x")])

    def test_a_rollback_takes_the_promise_back(self) -> None:
        with transaction.atomic():
            writing.add_task(MESSAGE, saga=None)
            transaction.set_rollback(True)
        assert not OutboxMessage.objects.exists()

    @postgresql
    def test_rows_know_their_transaction(self) -> None:
        """Rule 20 (the feed): by it a reader knows which rows are complete."""
        with transaction.atomic(), connection.cursor() as cursor:
            writing.add_task(MESSAGE, saga=None)
            cursor.execute("SELECT pg_current_xact_id()::text::bigint")
            assert cursor.fetchone() == (OutboxMessage.objects.get().transaction,)


@pytest.mark.django_db
def test_a_task_keeps_its_message_as_it_is() -> None:
    saga = uuid4()
    writing.add_task(MESSAGE, saga=saga)
    row = OutboxMessage.objects.get()
    assert (row.kind, row.name, row.saga, row.payload) == ("task", MESSAGE["task"], saga, MESSAGE)
    assert row.published_at is None
    assert row.due_at <= timezone.now()


@pytest.mark.django_db
def test_a_task_may_have_to_wait() -> None:
    """Rule 10 (locks and retries): no ETA in the broker."""
    writing.add_task(MESSAGE, saga=None, delay=60)
    wait = OutboxMessage.objects.get().due_at - timezone.now()
    assert timedelta(seconds=55) < wait <= timedelta(seconds=60)


@pytest.mark.django_db
def test_a_clock_that_is_off_makes_nobody_wait_longer() -> None:
    """The database's clock decides what is due, and when it will be."""
    real = timezone.now()
    with time_machine.travel(real + timedelta(hours=1)):
        writing.add_task(MESSAGE, saga=None, delay=60)
        writing.add_task(MESSAGE, saga=None)
        assert relay.oldest_unpublished_seconds() < 5
    wait = OutboxMessage.objects.earliest("id").due_at - real
    assert timedelta(seconds=55) < wait <= timedelta(seconds=65)


@pytest.mark.django_db
def test_an_event_is_a_cloudevent_in_structured_mode() -> None:
    """Rule 21 (events)."""
    saga, event_id, booking = uuid4(), uuid4(), uuid4()
    event = writing.cloud_event(
        HotelBooked(booking=booking),
        subject="trip-1",
        saga=saga,
        event_id=event_id,
        step="hotel",
        outcome="done",
    )
    writing.add_events([event])
    row = OutboxMessage.objects.get()
    assert (row.kind, row.name, row.saga) == ("event", "inventory.hotel_booked", saga)
    required = {"id", "source", "specversion", "type"}
    assert required <= set(row.payload)
    assert row.payload["source"] == f"/{settings.SERVICE}"
    assert row.payload["data"] == {"booking": str(booking)}
    envelope = decode(Envelope, row.payload)
    assert (envelope.id, envelope.saga, envelope.step, envelope.outcome) == (event_id, saga, "hotel", "done")
    assert envelope.time.tzinfo is not None


@pytest.mark.django_db
def test_an_event_of_no_saga_says_so_by_silence() -> None:
    writing.add_events([writing.cloud_event(HotelBooked(booking=uuid4()), subject="x")])
    assert "saga" not in OutboxMessage.objects.get().payload
