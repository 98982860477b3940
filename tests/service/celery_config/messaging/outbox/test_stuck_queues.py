"""A queue that confirms nothing (most of its nodes are lost) delays no other queue, and loses nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, current_app
from celery.worker.request import Request

from celery_config.broker import publisher as module
from celery_config.broker import topology
from celery_config.broker.publisher import Publisher
from celery_config.broker.topology import commands_queue
from celery_config.messaging.barrier.steps import Handler
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox.publishing import publish_batch
from celery_config.messaging.tasks import DurableTask
from celery_config.participant import handlers
from celery_config.participant.handlers import one_by_one
from celery_config.worker.batches import BatchRunner
from compose.local.rabbitmq import RabbitServer
from tests.service.broker import drain, kwargs_of, leaderless, make_app, without_exchange
from tests.service.celery_config.messaging.outbox.test_relay import old_task, promise, task
from tests.service.celery_config.worker.test_batches import delivered
from tests.service.together import until
from tests.trip import BookHotel, HotelBooked

pytestmark = pytest.mark.django_db(transaction=True)
STUCK = "payment.commands"
TIMEOUT = 1.0


@pytest.fixture
def app(rabbit: RabbitServer, tmp_path: Path) -> Iterator[Celery]:
    with make_app("inventory", rabbit, tmp_path) as app:
        yield app


@pytest.fixture
def publisher(app: Celery) -> Iterator[Publisher]:
    publisher = Publisher(app, TIMEOUT)
    yield publisher
    publisher.close()


class TestPublisher:
    def test_the_others_go_at_once_and_later_at_full_speed(
        self, publisher: Publisher, rabbit: RabbitServer
    ) -> None:
        both = [task(1), task(2, "shipment"), task(3), task(4, "shipment")]
        with leaderless(rabbit, STUCK):
            assert publisher.publish(both) == {1, 3}
            began = time.monotonic()
            for _ in range(20):
                assert publisher.publish(both) == {1, 3}
            assert time.monotonic() - began < TIMEOUT
        until(lambda: publisher.publish(both) == {0, 1, 2, 3}, "the queue takes messages again")
        # What was held back was not sent; what waited for its confirm was.
        assert {kwargs_of(m)["n"] for m in drain(rabbit, STUCK)} == {1, 3}

    def test_it_is_probed_with_one_message(
        self, publisher: Publisher, rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "PROBE_SECONDS", 0.0)
        many = [task(n) for n in range(50)]
        with leaderless(rabbit, STUCK):
            assert publisher.publish(many) == set()
            began = time.monotonic()
            for _ in range(3):
                assert publisher.publish([*many, task(1, "shipment")]) == {50}
                (channel,) = [each for route, each in publisher.channels.items() if route in publisher.stuck]
                assert len(channel.ids) == 1
            assert time.monotonic() - began < 3 * TIMEOUT
        monkeypatch.setattr(module, "PROBE_SECONDS", 60.0)
        until(lambda: publisher.publish(many) == set(range(50)), "the queue takes messages again")
        assert {kwargs_of(m)["n"] for m in drain(rabbit, STUCK)} == set(range(50))

    def test_it_goes_on_though_another_route_is_refused(
        self, publisher: Publisher, rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each probe of the one is refused, and takes no confirm of the others with it."""
        monkeypatch.setattr(module, "PROBE_SECONDS", 0.5)
        all_three = [task(1), task(2, "shipment"), old_task(3)]
        with without_exchange(rabbit, topology.COMMANDS):
            with leaderless(rabbit, STUCK):
                assert publisher.publish(all_three) == {1}
                time.sleep(2 * module.PROBE_SECONDS)
                assert publisher.publish(all_three) == {1}
            until(lambda: publisher.publish(all_three) == {0, 1}, "the queue takes messages again")
        until(lambda: publisher.publish(all_three) == {0, 1, 2}, "the exchange is there again")


class TestRelay:
    def test_the_rows_of_other_queues_go_out(self, publisher: Publisher, rabbit: RabbitServer) -> None:
        """Rule 21 (events)."""
        promise(*(task(n, service) for n in range(30) for service in ("payment", "shipment")))
        with leaderless(rabbit, STUCK):
            began = time.monotonic()
            while publish_batch(publisher, 10):
                pass
            assert time.monotonic() - began < 3 * TIMEOUT
            assert OutboxMessage.objects.count() == 30
            assert {kwargs_of(m)["n"] for m in drain(rabbit, "shipment.commands")} == set(range(30))

        def all_sent() -> bool:
            publisher.look()
            publish_batch(publisher, 100)
            return not OutboxMessage.objects.exists()

        until(all_sent, "the queue takes messages again")
        assert {kwargs_of(m)["n"] for m in drain(rabbit, STUCK)} == set(range(30))


class TestWorker:
    """Its messages would come back at once, twenty times, and become dead letters."""

    @pytest.fixture
    def hotel(self) -> Iterator[DurableTask]:
        handler = Handler(BookHotel, local=one_by_one(lambda each: HotelBooked(booking=each.trip)))
        yield handlers.register_handler(handler)
        del handlers.registry[handler.command.wire_name()]
        current_app.tasks.unregister(handler.command.wire_name())

    def test_what_follows_waits_in_the_outbox(
        self, app: Celery, publisher: Publisher, rabbit: RabbitServer, hotel: DurableTask
    ) -> None:
        told: list[str] = []
        runner = BatchRunner(SimpleNamespace(app=app))
        runner.publisher = publisher
        requests = [delivered(hotel, told) for _ in range(4)]
        (after,) = {link["task"] for request in requests for link in [next_link(request)]}
        queue = commands_queue(after.partition(".")[0])
        with leaderless(rabbit, queue):
            for request in requests:
                runner.run_batch([request])
        assert told == ["ack"] * 4
        promised = OutboxMessage.objects.filter(kind="task")
        assert promised.count() == 4
        assert set(promised.values_list("name", flat=True)) == {after}
        wanted = {next_link(request)["options"]["task_id"] for request in requests}

        def all_sent() -> bool:
            publish_batch(publisher, 100)
            return not promised.exists()

        until(all_sent, "the relay sends them")
        assert {m.properties["correlation_id"] for m in drain(rabbit, queue)} == wanted


def next_link(request: Request) -> dict[str, Any]:
    _, _, embed = json.loads(request.message.body)
    link: dict[str, Any] = embed["chain"][-1]
    return link
