"""Receiving events: each subscriber gets them once; unknown events are dead letters (rule 21, events)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from celery import current_app
from celery.app.task import Context
from celery.exceptions import Reject
from django.conf import settings
from django.contrib.auth.models import Group

from celery_config.broker.topology import RECEIVE_ALL
from celery_config.errors import DefinitionError
from celery_config.messaging.event_envelopes import event_type
from celery_config.messaging.inbox import subscriptions
from celery_config.messaging.inbox.subscriptions import (
    Envelope,
    EventHandler,
    Received,
    add_subscription,
    deliver,
)
from celery_config.messaging.models import InboxEntry, OutboxMessage
from celery_config.messaging.outbox.writing import cloud_event
from tests.service.shipped import read_made
from tests.service.together import concurrent, together
from tests.trip import FlightBooked, HotelBooked

pytestmark = pytest.mark.django_db


def each(function: Callable[[Any, Envelope], None]) -> EventHandler:
    """A handler that takes one event after the other."""

    @functools.wraps(function)
    def handle(received: Sequence[Received]) -> None:
        for one in received:
            function(one.data, one.envelope)

    handle.__qualname__ = function.__name__  # short enough for the inbox's column
    return handle


@pytest.fixture(autouse=True)
def _subscriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "subscriptions", [])


def booked(**more: Any) -> dict[str, Any]:
    return cloud_event(
        HotelBooked(booking=uuid4()), subject="trip", saga=uuid4(), step="hotel", outcome="done", **more
    )


def note(event: Any, envelope: Envelope) -> None:
    Group.objects.create(name=f"{envelope.id} {uuid4()}")


def test_a_handler_gets_the_event_decoded_with_its_envelope() -> None:
    seen: list[Any] = []
    add_subscription(each(lambda event, envelope: seen.append((event, envelope))), HotelBooked)
    event = booked()
    deliver([event])
    ((contract, envelope),) = seen
    assert isinstance(contract, HotelBooked)
    assert str(contract.booking) == event["data"]["booking"]
    assert (envelope.type, envelope.step, str(envelope.saga)) == (
        "inventory.hotel_booked",
        "hotel",
        event["saga"],
    )


def test_a_pattern_gets_the_data_as_it_came() -> None:
    seen: list[Any] = []
    add_subscription(each(lambda event, envelope: seen.append(event)), "inventory.*")
    event = booked()
    deliver([event])
    assert seen == [event["data"]]


def test_types_without_number_fill_no_memory() -> None:
    """A service may announce any type that begins with its name; a metric keeps each of its labels."""
    add_subscription(lambda received: None, "inventory.*")
    metric = subscriptions.metrics.EVENTS_HANDLED
    before = {labels for labels, _ in metric._metrics.items()}
    for number in range(2000):
        deliver([{**booked(), "type": f"inventory.made_up_{number}"}])
    assert {labels for labels, _ in metric._metrics.items()} - before <= {(subscriptions.OTHER,)}
    assert subscriptions.match_type.cache_info().currsize <= 1000


def test_a_repeat_is_not_handled_again() -> None:
    """Rule 21 (events): the key is event id and handler."""
    add_subscription(each(note), HotelBooked)
    event = booked()
    deliver([event])
    deliver([event])
    deliver([booked()])
    assert read_made().count() == 2
    assert InboxEntry.objects.count() == 2


def test_each_handler_has_its_own_memory() -> None:
    """Rule 21 (events): one that was added later still gets what the other had."""
    add_subscription(each(note), HotelBooked)
    event = booked()
    deliver([event])

    def also(event: Any, envelope: Envelope) -> None:
        note(event, envelope)

    add_subscription(each(also), HotelBooked)
    deliver([event])
    assert read_made().count() == 2


def test_a_handler_that_fails_leaves_no_memory_of_the_event() -> None:
    """Rule 21 (events): memory and effect are one transaction; the next delivery tries both handlers again."""
    broken = [True]

    def fails(event: Any, envelope: Envelope) -> None:
        note(event, envelope)
        if broken:
            raise ConnectionError

    add_subscription(each(note), HotelBooked)
    add_subscription(each(fails), HotelBooked)
    event = booked()
    with pytest.raises(ConnectionError):
        deliver([event])
    assert not read_made().exists()
    assert not InboxEntry.objects.exists()
    broken.clear()
    deliver([event])
    assert read_made().count() == 2


def test_what_nobody_subscribed_to_is_said_so() -> None:
    add_subscription(each(note), FlightBooked)
    with pytest.raises(DefinitionError, match=r"no handler subscribes to inventory\.hotel_booked"):
        deliver([booked()])


@pytest.mark.parametrize("broken", [{"id": "x"}, {"data": {"booking": 3}}])
def test_what_is_no_cloudevent_of_its_type_is_an_error(broken: dict[str, Any]) -> None:
    add_subscription(each(note), HotelBooked)
    with pytest.raises(msgspec.ValidationError):
        deliver([booked() | broken])


def test_unknown_attributes_are_ignored() -> None:
    """Rule 24 (versions)."""
    add_subscription(each(note), HotelBooked)
    deliver([booked() | {"traceparent": "00-1", "dataschema": "x"}])
    assert read_made().count() == 1


@concurrent
def test_twins_at_once() -> None:
    """Rule 21 (events): one waits for the other's commit and then does nothing."""
    add_subscription(each(note), HotelBooked)
    event = booked()
    assert together(*[lambda: deliver([event])] * 6) == [None] * 6
    assert read_made().count() == 1


class TestBatches:
    """Events of one type come in one message, with the same guarantees."""

    @staticmethod
    def outcomes(*batches: Any) -> list[Any]:
        task = current_app.tasks[RECEIVE_ALL]
        ended = task.carry_out(
            [Context(id=str(uuid4()), args=[], kwargs={"events": batch}, retries=0) for batch in batches]
        )
        assert [event_type(delivery.message) for delivery, _ in ended] == [
            batch[0]["type"] if delivery.message and batch else ""
            for batch, (delivery, _) in zip(batches, ended, strict=True)
        ]
        return [outcome for _, outcome in ended]

    def come(self, *batches: list[dict[str, Any]]) -> None:
        assert self.outcomes(*batches) == [None] * len(batches)

    def test_all_are_handled_once(self) -> None:
        add_subscription(each(note), HotelBooked)
        one, two, three = booked(), booked(), booked()
        self.come([one, two], [two, three])
        self.come([three, one])
        assert read_made().count() == 3
        assert not OutboxMessage.objects.exists()

    def test_what_fails_together_comes_again_one_by_one(self) -> None:
        """Each with tries of its own: an unknown event does not make the others fail."""
        add_subscription(each(note), HotelBooked)
        strange = booked() | {"type": "inventory.unheard_of"}
        fine, other = [booked(), strange], [booked()]
        self.come(fine, other)
        assert read_made().count() == 1
        rows = [row.payload for row in OutboxMessage.objects.order_by("id")]
        assert [(row["task"], row["kwargs"]) for row in rows] == [("events.receive", event) for event in fine]
        assert {row["options"]["routing_key"] for row in rows} == {f"{settings.SERVICE}.events.receive"}

    def test_one_that_cannot_be_stored_takes_no_other_along(self) -> None:
        """Its batch is kept as a dead letter; the others are promised."""
        add_subscription(each(note), HotelBooked)
        fine, odd, nameless = booked(), booked() | {"subject": "\x00"}, booked()
        del nameless["subject"]
        (outcome,) = self.outcomes([fine, odd, nameless])
        assert isinstance(outcome, Reject)
        assert not outcome.requeue
        rows = OutboxMessage.objects.order_by("id")
        assert [row.payload["kwargs"]["id"] for row in rows] == [fine["id"], nameless["id"]]

    @pytest.mark.parametrize("batch", [[[]], {"a": 1}, "x", [None], [{"type": "x"}], 5, None])
    def test_what_is_no_batch_is_rejected_at_once(self, batch: Any) -> None:
        (outcome,) = self.outcomes(batch)
        assert isinstance(outcome, Reject)
        assert not outcome.requeue

    def test_an_empty_one_is_done(self) -> None:
        self.come([])
