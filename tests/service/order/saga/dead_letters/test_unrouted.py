"""What lies at `unrouted` and should not; from a real RabbitMQ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from kombu import Connection

from celery_config.broker.topology import UNROUTED
from celery_config.saga.dead_letters.unrouted import UnroutedReader, find_receivers
from celery_config.saga.models import DeadLetter
from compose.local.rabbitmq import RabbitServer
from tests.service.broker import ADMIN, drain, make_app
from tests.service.order.conftest import Shop
from tests.service.order.saga.dead_letters.test_remedies import make_event
from tests.service.together import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def app(rabbit: RabbitServer, tmp_path: Path) -> Iterator[Celery]:
    with make_app("order", rabbit, tmp_path) as app:
        yield app


def publish(rabbit: RabbitServer, *keys: str) -> None:
    """Put events there that were announced under these keys; each is of the type before `.again.`."""
    with Connection(rabbit.url(ADMIN), transport_options={"confirm_publish": True}) as connection:
        channel = connection.default_channel
        for key in keys:
            event = make_event(key.partition(".again.")[0])
            message = channel.prepare_message(
                json.dumps([[], event, {}]), content_type="application/json", content_encoding="utf-8",
                headers={"task": "events.receive", "id": event["id"]},
            )  # fmt: skip
            channel.basic_publish(message, exchange=UNROUTED, routing_key=key)


def test_who_should_receive_an_event() -> None:
    assert find_receivers("payment.payment_captured") == ["order"]
    assert find_receivers("order.order_confirmed") == []
    assert find_receivers("order.order_confirmed.again.payment") == ["payment"]
    assert find_receivers("order.order_confirmed.again.nobody") == []


def test_what_no_service_knows_is_kept_and_what_none_wants_is_not(
    shop: Shop, rabbit: RabbitServer, app: Celery
) -> None:
    publish(rabbit, "order.no_such", "order.order_confirmed", "order.order_confirmed.again.inventory")
    reader = UnroutedReader(app)

    def has_kept() -> bool:
        reader.read()
        return DeadLetter.objects.count() >= 2

    until(has_kept, "both are kept")
    found = {(row.queue, row.reason, row.fault) for row in DeadLetter.objects.all()}
    assert found == {
        ("unrouted", "unrouted", "no service receives 'order.no_such', and this release does not know it"),
        (
            "inventory.events", "unrouted",
            "the queue inventory.events is not bound to it: load the broker's definitions again",
        ),
    }  # fmt: skip
    assert drain(rabbit, UNROUTED) == []
