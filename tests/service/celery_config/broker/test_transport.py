"""Connections to a broker that is dead, hangs, or has a resource alarm: nothing waits for it without a limit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from kombu import Connection

from celery_config.broker import publisher as publisher_module
from celery_config.broker import topology, transport
from celery_config.broker.publisher import Publisher, broker_errors
from compose.local.rabbitmq import RabbitServer
from tests.service.broker import alarmed, dead_hosts, frozen, make_app
from tests.service.celery_config.messaging.outbox.test_relay import task
from tests.service.together import in_background, until


@pytest.fixture
def app(rabbit: RabbitServer, tmp_path: Path) -> Iterator[Celery]:
    with make_app("inventory", rabbit, tmp_path) as app:
        yield app


class TestSeveralHosts:
    """In one URL, separated by semicolons."""

    def test_each_is_tried_and_the_one_that_answered_comes_first_the_next_time(
        self, rabbit: RabbitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.5)
        with dead_hosts() as hosts, make_app("inventory", rabbit, tmp_path, hosts_before=hosts) as app:
            publisher = Publisher(app, timeout=5)
            assert publisher.publish([task(1)]) == {0}
            publisher.close()
            began = time.monotonic()
            assert publisher.publish([task(2)]) == {0}
            assert time.monotonic() - began < transport.CONNECT_SECONDS
            assert isinstance(publisher.connection.connection.transport, transport.BufferedTransport)  # type: ignore[union-attr]
            publisher.close()

    def test_none_is_an_error(self, app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.2)
        with dead_hosts() as hosts, pytest.raises(broker_errors(app)):
            transport.connect(Connection(";".join(hosts)))


class TestALimit:
    def test_a_call_that_is_not_answered_loses_the_connection(
        self, app: Celery, rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport, "ANSWER_SECONDS", 0.5)
        with app.connection_for_read() as connection:
            channel = connection.default_channel
            queue = topology.commands_queue("inventory")
            with frozen(rabbit):
                asked = in_background(lambda: channel.queue_declare(queue, passive=True))
                assert isinstance(asked.exception(10), broker_errors(app))
                assert not connection.connected

    def test_a_broker_that_hangs_gets_no_long_farewell(self, app: Celery, rabbit: RabbitServer) -> None:
        connection = app.connection_for_read()
        connection.default_channel.basic_qos(0, 1, False)
        with frozen(rabbit):
            in_background(connection.close).result(5)

    def test_one_that_has_stopped_reading_from_us_gets_no_long_farewell(
        self, app: Celery, rabbit: RabbitServer
    ) -> None:
        """Otherwise a worker would not end before the alarm does: it closes the connection of its task events."""
        connection = app.connection_for_write()
        channel = connection.default_channel
        with alarmed(rabbit):
            message = channel.prepare_message("{}", content_encoding="utf-8")
            for _ in range(2):
                channel._basic_publish(message, topology.COMMANDS, "nobody")
            in_background(connection.close).result(5)


class TestAnAlarm:
    def test_nothing_is_sent_until_it_is_over_and_then_all_at_once(
        self, app: Celery, rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each new connection with a probe would be one message more that arrives after it."""
        monkeypatch.setattr(publisher_module, "PROBE_SECONDS", 0.0)
        publisher = Publisher(app, timeout=5)
        assert publisher.publish([task(1)]) == {0}
        with alarmed(rabbit):
            until(lambda: publisher.publish([task(2)]) == set() and publisher.blocked, "the alarm is seen")
            kept = publisher.connection
            began = time.monotonic()
            for _ in range(5):
                assert publisher.publish([task(3), task(4, "shipment")]) == set()
            assert time.monotonic() - began < 1
            assert publisher.connection is kept

        def free() -> bool:
            publisher.look()
            return not publisher.held and not publisher.blocked

        until(free, "the broker takes messages again")
        assert publisher.publish([task(3), task(4, "shipment")]) == {0, 1}
        publisher.close()
