"""The relay and its publisher, on a real RabbitMQ: what is promised is sent, and nothing else counts as sent."""

from __future__ import annotations

import errno
import json
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import Celery, current_app
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from kombu import Connection

from celery_config.broker import publisher as module
from celery_config.broker import topology
from celery_config.broker.publisher import Publisher, broker_errors
from celery_config.broker.topology import MOST_EVENTS
from celery_config.contracts.base import encode
from celery_config.messaging import retention
from celery_config.messaging.models import InboxEntry, OutboxMessage
from celery_config.messaging.outbox import publishing, relay, writing
from celery_config.messaging.outbox.publishing import publish_batch
from celery_config.messaging.outbox.set_aside import count_set_aside, send_again
from celery_config.saga.engine.chains import ChainBuilder
from celery_config.saga.engine.machine import Drive
from compose.local.rabbitmq import RabbitServer
from tests.service.broker import ADMIN, drain, kwargs_of, make_app, without_exchange
from tests.service.together import concurrent, in_background, together, until
from tests.trip import FlightBooked, HotelBooked, Trip, trip_data

pytestmark = pytest.mark.django_db(transaction=True)


def task(n: int = 0, service: str = "payment", **options: Any) -> dict[str, Any]:
    route = topology.route_task(service, "do", urgent=False) | {"task_id": str(UUID(int=n + 1))} | options
    return {"task": f"{service}.do", "args": [], "kwargs": {"n": n}, "options": route}


def old_task(n: int = 0) -> dict[str, Any]:
    """As an older version sent it to payment, and the only one on its route."""
    return task(n, exchange=topology.COMMANDS, routing_key="payment")


def promise(*messages: dict[str, Any], delay: float = 0) -> None:
    with transaction.atomic():
        for message in messages:
            writing.add_task(message, saga=None, delay=delay)


def announce(event: Any, name: str | None = None) -> None:
    with transaction.atomic():
        writing.add_events([writing.cloud_event(event, subject="x")])
        if name:
            OutboxMessage.objects.filter(kind="event").update(name=name)


class Books:
    """A publisher that records what it gets, and confirms what the test says."""

    def __init__(self, refuse: Sequence[int] = ()) -> None:
        self.sent: list[dict[str, Any]] = []
        self.refuse = set(refuse)
        self.app = current_app
        self.timeout = 1.0
        self.held: set[str] = set()
        self.probe_is_due = False
        self.faults: dict[int, str] = {}

    def publish(self, messages: Sequence[dict[str, Any]]) -> set[int]:
        self.sent += messages
        return set(range(len(messages))) - self.refuse


class TestRows:
    """The outbox rows after publishing; the publisher is not real here."""

    def test_a_command_that_was_sent_has_done_its_duty(self) -> None:
        promise(task(1), task(2))
        assert publish_batch(Books(), 10) == 2  # type: ignore[arg-type]
        assert not OutboxMessage.objects.exists()

    def test_an_event_stays_for_those_who_must_catch_up(self) -> None:
        """Rule 20 (the feed)."""
        announce(HotelBooked(booking=uuid4()))
        publish_batch(Books(), 10)  # type: ignore[arg-type]
        row = OutboxMessage.objects.get()
        assert row.published_at
        assert publish_batch(Books(), 10) == 0  # type: ignore[arg-type]

    def test_an_event_travels_as_one_task_whose_kwargs_are_the_cloudevent(self) -> None:
        """Rule 21 (events)."""
        announce(HotelBooked(booking=uuid4()))
        books = Books()
        publish_batch(books, 10)  # type: ignore[arg-type]
        (message,) = books.sent
        event = OutboxMessage.objects.get().payload
        assert (message["task"], message["kwargs"]) == ("events.receive", event)
        assert message["options"]["exchange"] == "events"
        assert message["options"]["routing_key"] == "inventory.hotel_booked"
        assert "mandatory" not in message["options"]
        assert message["options"]["task_id"] == event["id"]

    def test_events_of_one_type_travel_together(self) -> None:
        """As a batch of CloudEvents; in their order, and the commands beside them."""
        promise(task(1))
        for _ in range(MOST_EVENTS + 2):
            announce(HotelBooked(booking=uuid4()))
        announce(FlightBooked(seat="12A"))
        books = Books(refuse=[1])
        assert publish_batch(books, 100) == MOST_EVENTS + 4  # type: ignore[arg-type]
        events = list(OutboxMessage.objects.filter(kind="event").order_by("id"))
        booked, alone = [row.payload for row in events[:-1]], events[-1].payload
        assert [message["kwargs"] for message in books.sent] == [
            {"n": 1}, {"events": booked[:MOST_EVENTS]}, {"events": booked[MOST_EVENTS:]}, alone,
        ]  # fmt: skip
        assert [message["task"] for message in books.sent[1:]] == [
            "events.receive_all", "events.receive_all", "events.receive",
        ]  # fmt: skip
        assert {m["options"]["routing_key"] for m in books.sent[1:3]} == {"inventory.hotel_booked"}
        # What the broker did not take stays, all of it.
        assert [row.published_at is None for row in events] == [True] * MOST_EVENTS + [False] * 3

    def test_what_must_wait_waits(self) -> None:
        """Rule 10 (locks and retries)."""
        promise(task(1), delay=60)
        assert publish_batch(Books(), 10) == 0  # type: ignore[arg-type]
        OutboxMessage.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        assert publish_batch(Books(), 10) == 1  # type: ignore[arg-type]

    def test_the_longest_due_first_and_so_many_at_once(self) -> None:
        promise(*[task(n) for n in range(5)])
        books = Books()
        assert [publish_batch(books, 2) for _ in range(4)] == [2, 2, 1, 0]  # type: ignore[arg-type]
        assert [m["kwargs"]["n"] for m in books.sent] == [0, 1, 2, 3, 4]

    def test_what_a_queue_left_behind_does_not_go_before_all_others(self) -> None:
        """Rows of another route waited until 20,000 older ones had left."""
        promise(*[task(n) for n in range(20)], task(20, "shipment"), task(21, "inventory"), task(22))
        books = Books()
        assert publish_batch(books, 4) == 4  # type: ignore[arg-type]
        assert [message["kwargs"]["n"] for message in books.sent] == [0, 1, 2, 3, 21, 20]

    def test_what_the_broker_did_not_take_stays_as_it_is(self) -> None:
        """A refused publish does not make a row look younger."""
        promise(task(1), task(2), task(3))
        publish_batch(Books(refuse=[1]), 10)  # type: ignore[arg-type]
        row = OutboxMessage.objects.get()
        assert row.payload["kwargs"] == {"n": 2}
        assert row.published_at is None
        assert row.due_at <= timezone.now()

    def test_a_crash_before_the_commit_sends_it_again(self) -> None:
        """Barrier and inbox recognise a repeat; a lost message could not be replaced."""

        class Dies(Books):
            def publish(self, messages: Sequence[dict[str, Any]]) -> set[int]:
                super().publish(messages)
                raise ConnectionError

        promise(task(1))
        with pytest.raises(ConnectionError):
            publish_batch(Dies(), 10)  # type: ignore[arg-type]
        assert publish_batch(Books(), 10) == 1  # type: ignore[arg-type]

    def test_the_lag_is_that_of_the_oldest_row_that_is_due(self) -> None:
        assert relay.oldest_unpublished_seconds() == 0
        promise(task(1), delay=60)
        assert relay.oldest_unpublished_seconds() == 0
        OutboxMessage.objects.update(due_at=timezone.now() - timedelta(seconds=30))
        assert 29 < relay.oldest_unpublished_seconds() < 35
        publish_batch(Books(refuse=[0]), 10)  # type: ignore[arg-type]
        assert 29 < relay.oldest_unpublished_seconds() < 35

    def test_a_row_that_is_set_aside_is_no_lag(self) -> None:
        promise(task(1))
        OutboxMessage.objects.update(due_at=timezone.now() - timedelta(seconds=30), fault="it cannot be sent")
        assert relay.oldest_unpublished_seconds() == 0

    def test_what_is_past_the_horizon_is_forgotten_and_what_is_unsent_never(self) -> None:
        """Rule 20 (the feed)."""
        for _ in range(3):
            announce(HotelBooked(booking=uuid4()))
        old, new, unsent = OutboxMessage.objects.order_by("id")
        long_ago = timezone.now() - timedelta(days=31)
        OutboxMessage.objects.filter(id=old.id).update(published_at=long_ago)
        OutboxMessage.objects.filter(id=new.id).update(published_at=timezone.now())
        OutboxMessage.objects.filter(id=unsent.id).update(due_at=long_ago, created_at=long_ago)
        InboxEntry.objects.create(event=uuid4(), handler="old", received_at=long_ago)
        InboxEntry.objects.create(event=uuid4(), handler="new")
        retention.delete_expired()
        assert set(OutboxMessage.objects.values_list("id", flat=True)) == {new.id, unsent.id}
        assert InboxEntry.objects.get().handler == "new"

    @pytest.mark.parametrize(
        ("kind", "payload"), [("task", {"task": "payment.do"}), ("task", []), ("event", {"id": "x"})]
    )
    def test_what_is_no_message_is_set_aside_until_an_operator_sends_it_again(
        self, kind: str, payload: Any
    ) -> None:
        OutboxMessage.objects.create(kind=kind, name="inventory.hotel_booked", payload=payload)
        promise(task(1))
        announce(HotelBooked(booking=uuid4()))
        books = Books()
        assert publish_batch(books, 10) == 3  # type: ignore[arg-type]
        assert len(books.sent) == 2
        aside = OutboxMessage.objects.filter(fault__isnull=False)
        assert str(aside.get().fault).startswith("not a message")
        assert publish_batch(books, 10) == 0  # type: ignore[arg-type]
        assert count_set_aside() == 1
        send_again(list(aside), by="ada", why="it was a test")
        assert not aside.all().exists()

    def test_one_event_that_cannot_be_sent_does_not_take_its_neighbours_along(self) -> None:
        """Those that travel together are tried alone."""

        class Spoiled(Books):
            def publish(self, messages: Sequence[dict[str, Any]]) -> set[int]:
                self.faults = {i: "poison" for i, each in enumerate(messages) if "spoiled" in str(each)}
                return super().publish(messages) - self.faults.keys()

        for _ in range(3):
            announce(HotelBooked(booking=uuid4()))
        spoiled = OutboxMessage.objects.order_by("id")[1]
        OutboxMessage.objects.filter(pk=spoiled.pk).update(payload={**spoiled.payload, "data": "spoiled"})
        publish_batch(Spoiled(), 10)  # type: ignore[arg-type]
        assert OutboxMessage.objects.get(published_at__isnull=True).fault == "poison"

    def test_who_wants_to_hear_of_sagas_that_were_published_late_does(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        late, early = uuid4(), uuid4()
        with transaction.atomic():
            writing.add_tasks(
                [(late, task(1)), (late, task(2)), (early, task(3)), (None, task(4)), (late, task(5))]
            )
        first, second, _, nobodys, kept = OutboxMessage.objects.order_by("id")
        for row, seconds in ((first, 30), (second, 60), (nobodys, 60), (kept, 90)):
            OutboxMessage.objects.filter(pk=row.pk).update(due_at=timezone.now() - timedelta(seconds=seconds))
        told: list[Any] = []

        def fails(late: Any) -> None:
            raise ValueError(OutboxMessage.objects.filter(saga=early).delete())

        monkeypatch.setattr(publishing, "late_publish_observers", [fails, told.append])
        publish_batch(Books(refuse=[0]), 10)  # type: ignore[arg-type]
        ((saga, seconds),) = told[0].items()
        assert (saga, len(told)) == (late, 1)
        assert 60 <= seconds < 65
        assert OutboxMessage.objects.get().pk == kept.pk

    @concurrent
    def test_two_relays_never_send_one_row(self) -> None:
        """Rule 21 (events): row locks share the work."""
        promise(*[task(n) for n in range(60)])
        books = [Books(), Books()]

        def work(mine: Books) -> None:
            while OutboxMessage.objects.exists():
                publish_batch(mine, 5)  # type: ignore[arg-type]

        assert together(*[lambda b=b: work(b) for b in books]) == [None, None]
        sent = sorted(m["kwargs"]["n"] for b in books for m in b.sent)
        assert sent == list(range(60))


class TestHeldRoutes:
    """The rows of a route that takes nothing cost nothing while they wait."""

    HELD = "tasks/payment"

    def test_they_are_neither_read_nor_written(self) -> None:
        promise(*[task(n) for n in range(20)], task(20, "shipment"))
        announce(HotelBooked(booking=uuid4()))
        before = {row.pk: row.due_at for row in OutboxMessage.objects.filter(route=self.HELD)}
        books = Books()
        books.held = {self.HELD}
        assert publish_batch(books, 4) == 2  # type: ignore[arg-type]
        assert {message["options"]["exchange"] for message in books.sent} == {"tasks", "events"}
        assert {row.pk: row.due_at for row in OutboxMessage.objects.filter(published_at=None)} == before
        with CaptureQueriesContext(connection) as queries:
            assert publish_batch(books, 4) == 0  # type: ignore[arg-type]
        assert len(queries) == 1 + 2  # begin and commit

    def test_one_of_them_probes_it(self) -> None:
        promise(*[task(n) for n in range(20)])
        books = Books()
        books.held, books.probe_is_due = {self.HELD}, True
        assert publish_batch(books, 4) == 1  # type: ignore[arg-type]
        assert [message["kwargs"] for message in books.sent] == [{"n": 0}]

    def test_a_long_queue_leaves_room_for_the_others(self) -> None:
        promise(*[task(n, "inventory") for n in range(20)], task(20, "shipment"), task(21))
        books = Books()
        books.held = {self.HELD}
        assert publish_batch(books, 4) == 4  # type: ignore[arg-type]
        assert sorted(message["kwargs"]["n"] for message in books.sent) == [0, 1, 20]

    def test_rows_of_an_older_version_get_their_route_once(self) -> None:
        promise(task(1), task(2, "shipment"))
        announce(HotelBooked(booking=uuid4()))
        OutboxMessage.objects.update(route="")
        books = Books(refuse=[0])
        books.held = {self.HELD}
        assert publish_batch(books, 10) == 3  # type: ignore[arg-type]
        assert OutboxMessage.objects.get(published_at=None).route == self.HELD
        assert publish_batch(books, 10) == 0  # type: ignore[arg-type]

    def test_rows_of_an_older_version_are_published(self) -> None:
        promise(task(1))
        announce(HotelBooked(booking=uuid4()))
        OutboxMessage.objects.update(route="")
        assert publish_batch(Books(), 10) == 2  # type: ignore[arg-type]
        assert not OutboxMessage.objects.filter(published_at=None).exists()


@pytest.fixture
def app(rabbit: RabbitServer, tmp_path: Path) -> Iterator[Celery]:
    with make_app("inventory", rabbit, tmp_path) as app:
        yield app


@pytest.fixture
def publisher(app: Celery) -> Iterator[Publisher]:
    publisher = Publisher(app, timeout=10)
    yield publisher
    publisher.close()


@pytest.fixture
def orders_publisher(rabbit: RabbitServer, tmp_path: Path) -> Iterator[Publisher]:
    """That of the order service, which alone may use a key that leads to no service."""
    with make_app("order", rabbit, tmp_path) as app:
        publisher = Publisher(app, timeout=10)
        yield publisher
        publisher.close()


class TestPublisher:
    def test_a_batch_is_published_and_confirmed(self, publisher: Publisher, rabbit: RabbitServer) -> None:
        assert publisher.publish([task(n) for n in range(150)]) == set(range(150))
        assert publisher.publish([task(n) for n in range(3)]) == {0, 1, 2}
        assert len(drain(rabbit, "payment.commands")) == 153

    def test_a_chain_arrives_as_celery_wrote_it(self, publisher: Publisher, rabbit: RabbitServer) -> None:
        """Rule 1: preset task ids, routes, errbacks and the rest of the chain survive."""
        chain = ChainBuilder(Trip, uuid4(), encode(trip_data()), 0).build(Drive("hotel"))
        publisher.publish([chain])
        (message,) = drain(rabbit, "inventory.commands")
        args, kwargs, embed = json.loads(message.body)
        headers = message.properties["application_headers"]
        assert (headers["task"], headers["id"]) == (chain["task"], chain["options"]["task_id"])
        assert (args, kwargs) == (chain["args"], chain["kwargs"])
        assert embed["chain"] == chain["options"]["chain"]
        assert embed["errbacks"] == chain["options"]["link_error"]
        assert message.properties["delivery_mode"] == 2

    def test_a_retry_keeps_its_count(self, publisher: Publisher, rabbit: RabbitServer) -> None:
        """Rule 10 (locks and retries)."""
        publisher.publish([task(1, retries=3, root_id="r", parent_id="p")])
        (message,) = drain(rabbit, "payment.commands")
        headers = message.properties["application_headers"]
        assert (headers["retries"], headers["root_id"], headers["parent_id"]) == (3, "r", "p")

    def test_an_unroutable_command_is_refused_and_the_others_go(
        self, orders_publisher: Publisher, rabbit: RabbitServer
    ) -> None:
        """Rule 21 (events): `mandatory`; a confirm alone would hide it."""
        messages = [task(1), task(2, routing_key=topology.PROBE_KEY), task(3)]
        assert orders_publisher.publish(messages) == {0, 2}
        assert [kwargs_of(m) for m in drain(rabbit, "payment.commands")] == [{"n": 1}, {"n": 3}]

    def test_one_that_cannot_be_sent_does_not_hold_up_the_others(
        self, publisher: Publisher, rabbit: RabbitServer
    ) -> None:
        """Longer than AMQP's short texts are."""
        promise(task(1), task(2, task_id="x" * 300), task(3))
        assert publish_batch(publisher, 10) == 3
        row = OutboxMessage.objects.get()
        assert row.payload["kwargs"] == {"n": 2}
        assert row.fault == "its id is longer than 255 bytes"
        assert [kwargs_of(m) for m in drain(rabbit, "payment.commands")] == [{"n": 1}, {"n": 3}]

    def test_one_because_of_which_the_broker_closes_the_connection_is_found_and_set_aside(
        self, publisher: Publisher, rabbit: RabbitServer
    ) -> None:
        """Headers must fit into one frame: `501 FRAME_ERROR`."""
        promise(*[task(n, **({"root_id": "x" * 131_072} if n == 5 else {})) for n in range(20)])
        assert publish_batch(publisher, 20) == 20
        row = OutboxMessage.objects.get()
        assert row.payload["kwargs"] == {"n": 5}
        assert "501" in str(row.fault)
        # What was confirmed before the error came again.
        assert {kwargs_of(m)["n"] for m in drain(rabbit, "payment.commands")} == {*range(20)} - {5}

    @pytest.mark.parametrize(
        ("options", "fault"),
        [
            ({"exchange": "nowhere"}, "we publish to no exchange 'nowhere'"),
            ({"exchange": None}, "it names no exchange"),
            ({"routing_key": None}, "it names no routing key"),
            ({"routing_key": "payment." + "x" * 300}, "its routing key is longer than 255 bytes"),
            ({"routing_key": "payment.No9"}, "inventory has no right to the key 'payment.No9' of 'tasks'"),
            ({"exchange": "events", "routing_key": "payment.x"}, "inventory has no right to the key"),
            ({"exchange": "commands", "routing_key": "nowhere"}, "inventory has no right to the key"),
            ({"reply_to": "x" * 300}, "it holds a name longer than 255 bytes"),
        ],
    )
    def test_one_that_no_try_would_send_is_set_aside_and_says_why(
        self, publisher: Publisher, rabbit: RabbitServer, options: dict[str, Any], fault: str
    ) -> None:
        """The broker closes the channel because of some, and all behind them would wait."""
        promise(task(1), task(2), task(3))
        (row,) = OutboxMessage.objects.filter(payload__kwargs__n=2)
        row.payload["options"] |= options
        row.save()
        assert publish_batch(publisher, 10) == 3
        row = OutboxMessage.objects.get()
        assert (count_set_aside(), publisher.held) == (1, set())
        assert str(row.fault).startswith(fault)
        assert [kwargs_of(m) for m in drain(rabbit, "payment.commands")] == [{"n": 1}, {"n": 3}]

    def test_an_exchange_of_ours_that_is_missing_holds_its_own_messages_only(
        self, publisher: Publisher, rabbit: RabbitServer
    ) -> None:
        with without_exchange(rabbit, topology.COMMANDS):
            promise(task(1), old_task(2), task(3))
            publish_batch(publisher, 10)
            row = OutboxMessage.objects.get()
            assert (row.route, row.fault, publisher.held) == ("commands/payment", None, {row.route})
            connection = publisher.connection
            promise(task(4))
            assert publish_batch(publisher, 10) == 1
            assert publisher.connection is connection
        # None came twice, though the broker refused one of them.
        assert sorted(kwargs_of(m)["n"] for m in drain(rabbit, "payment.commands")) == [1, 3, 4]
        until(lambda: publish_batch(publisher, 10) == 1, "it is sent once the exchange is there")

    def test_one_the_queue_refuses_stays_and_the_channel_is_opened_anew(
        self, orders_publisher: Publisher, rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A NACK: right after a node's death a channel goes on refusing until it is closed."""
        monkeypatch.setattr(module, "PROBE_SECONDS", 0.0)
        with Connection(rabbit.url(ADMIN)) as connection:
            channel = connection.default_channel
            full = {"x-max-length": 1, "x-overflow": "reject-publish"}
            channel.queue_declare("full", durable=False, auto_delete=False, arguments=full)
            channel.queue_bind("full", topology.TASKS, topology.PROBE_KEY)
            to_it, publisher = {"routing_key": topology.PROBE_KEY}, orders_publisher
            try:
                assert publisher.publish([task(1, **to_it)]) == {0}
                kept = publisher.connection
                assert publisher.publish([task(2, **to_it), task(3)]) == {1}
                assert (list(publisher.channels), publisher.connection) == (["tasks/payment"], kept)
                channel.queue_purge("full")
                assert publisher.publish([task(2, **to_it)]) == {0}
            finally:
                channel.queue_delete("full")

    def test_an_event_nobody_wants_is_no_error(
        self, orders_publisher: Publisher, rabbit: RabbitServer
    ) -> None:
        """Rule 21 (events): it goes to `unrouted`."""
        announce(HotelBooked(booking=uuid4()), name="order.nobody_asked")
        assert publish_batch(orders_publisher, 10) == 1
        assert OutboxMessage.objects.get().published_at
        assert len(drain(rabbit, "unrouted")) == 1

    def test_an_event_reaches_who_subscribed(self, publisher: Publisher, rabbit: RabbitServer) -> None:
        """Rule 21 (events)."""
        announce(HotelBooked(booking=uuid4()))
        publish_batch(publisher, 10)
        (message,) = drain(rabbit, "order.events")
        assert OutboxMessage.objects.get().payload.items() <= kwargs_of(message).items()

    def test_a_broken_connection_is_an_error_and_the_next_publish_connects_anew(
        self, publisher: Publisher, rabbit: RabbitServer
    ) -> None:
        publisher.publish([task(1)])
        assert publisher.connection is not None
        publisher.connection.transport.close_connection(publisher.connection.connection)
        with pytest.raises(
            (OSError, AttributeError, *publisher.app.connection_for_write().connection_errors)
        ):
            publisher.publish([task(2)])
        assert publisher.publish([task(3)]) == {0}

    def test_a_broker_that_stands_still_is_left_without_a_farewell(
        self, app: Celery, rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rule 21 (events): closing would wait for an answer without limit."""
        monkeypatch.setattr(module, "PROBE_SECONDS", 0.0)
        publisher = Publisher(app, timeout=1.0)
        assert publisher.publish([task(1)]) == {0}
        rabbit.process.send(signal.SIGSTOP)
        try:
            assert in_background(lambda: publisher.publish([task(2)])).result(8) == set()
            # It connects anew, which is tried twice. A time-out of ours would look like one of the publisher's.
            again = in_background(lambda: publisher.publish([task(2)]))
            assert isinstance(again.exception(20), broker_errors(app))
        finally:
            rabbit.process.send(signal.SIGCONT)
        monkeypatch.setattr(module, "PROBE_SECONDS", 60.0)  # time for its confirm
        until(lambda: publisher.publish([task(3)]) == {0}, "the broker takes messages again")

    def test_a_network_that_is_gone_refuses_nothing(self) -> None:
        """ETIMEDOUT means a lost connection, not a broker without confirms: the rows stay due."""

        class Gone(Books):
            def publish(self, messages: Sequence[dict[str, Any]]) -> set[int]:
                raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

        promise(task(1))
        with pytest.raises(TimeoutError):
            publish_batch(Gone(), 10)  # type: ignore[arg-type]
        assert OutboxMessage.objects.filter(due_at__lte=timezone.now()).count() == 1

    @pytest.mark.parametrize("size", [1, 100_000])
    def test_a_broker_that_takes_nothing_is_given_up_in_time(
        self, app: Celery, rabbit: RabbitServer, size: int
    ) -> None:
        """Rule 21 (events): row locks are held until then. Out of memory, RabbitMQ stops reading from publishers."""
        publisher = Publisher(app, timeout=1.5)
        publisher.open()
        rabbit.ctl("set_vm_memory_high_watermark", "absolute", "1")
        try:
            publish = in_background(
                lambda: publisher.publish([task(n, headers={"x": "y" * size}) for n in range(300)])
            )
            try:
                assert publish.result(8) == set()
            except broker_errors(app):
                assert size > 1  # it does not fit into the buffers of the network
        finally:
            rabbit.ctl("set_vm_memory_high_watermark", "absolute", "1GB")


class TestRun:
    def relay_until(self, app: Celery, holds: Any, duties: Sequence[relay.Duty] = ()) -> None:
        done = threading.Event()
        running = in_background(lambda: relay.run(app, duties, done.wait, lambda: done.wait(0.02)))
        try:
            until(holds, "the relay did its work")
        finally:
            done.set()
            running.result(20)

    def test_it_publishes_what_comes_and_does_its_duties(self, app: Celery, rabbit: RabbitServer) -> None:
        seen: list[float] = []
        duty = relay.Duty("count", lambda: seen.append(time.monotonic()), 0.05)
        promise(*[task(n) for n in range(3)])
        self.relay_until(app, lambda: not OutboxMessage.objects.exists() and len(seen) >= 3, [duty])
        assert all(later - earlier >= 0.05 for earlier, later in pairwise(seen))
        assert len(drain(rabbit, "payment.commands")) == 3

    def test_a_duty_that_has_more_to_do_goes_on_at_once(self, app: Celery, rabbit: RabbitServer) -> None:
        """A large backlog is not deleted at the pace of one batch every few seconds."""
        left = iter([True, True, False])
        calls: list[bool] = []

        def work() -> bool:
            calls.append(next(left))
            return calls[-1]

        self.relay_until(app, lambda: len(calls) == 3, [relay.Duty("work", work, 3600)])

    @pytest.mark.parametrize("error", [DataError("value too long"), SystemExit(0)], ids=repr)
    def test_a_duty_that_fails_holds_up_no_other(
        self, app: Celery, rabbit: RabbitServer, error: BaseException
    ) -> None:
        """A value too long is its own fault; only a database that is away is everybody's."""
        done: list[bool] = []

        def fail() -> None:
            raise error

        self.relay_until(
            app,
            lambda: bool(done),
            [relay.Duty("faulty", fail, 0.01), relay.Duty("other", lambda: done.append(True), 3600)],
        )

    @pytest.mark.parametrize("error", [KeyError("an unforeseen error"), SystemExit(0)], ids=repr)
    def test_its_duties_go_on_while_nothing_can_be_published(
        self, app: Celery, rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        """The watchdog and the reader of the dead letters are among them."""

        def fail(*_: Any) -> int:
            raise error

        monkeypatch.setattr(relay, "publish_batch", fail)
        promise(task(1))
        seen: list[float] = []
        self.relay_until(app, lambda: len(seen) == 3, [relay.Duty("count", lambda: seen.append(0), 0.01)])

    def test_it_outlives_the_broker(self, app: Celery, rabbit: RabbitServer) -> None:
        """The rows wait; when the broker is back they go out."""
        done = threading.Event()
        running = in_background(lambda: relay.run(app, [], done.wait, lambda: done.wait(0.02)))
        promise(task(1))
        until(lambda: not OutboxMessage.objects.exists(), "published")
        rabbit.stop()
        promise(task(2))
        time.sleep(0.5)
        assert OutboxMessage.objects.count() == 1
        assert not running.done()
        rabbit.start()
        until(lambda: not OutboxMessage.objects.exists(), "published after the broker came back")
        done.set()
        running.result(20)
        assert sorted(kwargs_of(m)["n"] for m in drain(rabbit, "payment.commands")) == [1, 2]
