"""No message that a sender wrote ends the broker's dead-lettering (rule 19, dead letters)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from celery import Celery
from celery.worker.consumer import Consumer
from django.conf import settings
from kombu import Connection, Queue

from celery_config.broker.properties import DEATHS, REFUSED
from celery_config.broker.topology import DEAD_LETTERS, URGENT_TASKS, commands_queue, urgent_queue
from celery_config.worker import replacement
from celery_config.worker.acks import BatchAcknowledger
from celery_config.worker.consumer import SagaConsumer
from celery_config.worker.replacement import MessageReplacer
from compose.local.rabbitmq import RabbitServer
from tests import hostile_properties
from tests.hostile_properties import RawMessage
from tests.service.broker import ADMIN, drain, make_app, without_exchange
from tests.service.together import until

QUEUE = commands_queue("shipment")
DEADLY: list[Any] = [
    [1, 2, {"queue": 7}],
    [{"queue": QUEUE, "reason": "rejected", "count": "x"}],
    [{"queue": DEAD_LETTERS, "reason": "delivery_limit", "count": 1}],
    "text",
]
RAW = [raw for name, raw in hostile_properties.hostile("x").items() if "death" in name]


@pytest.fixture
def app(rabbit: RabbitServer, tmp_path: Path) -> Iterator[Celery]:
    assert settings.SERVICE == "shipment"
    with make_app("shipment", rabbit, tmp_path) as app:
        yield app


class Worker:
    """Our consumer over one queue, without the rest of a worker."""

    def __init__(self, app: Celery, connection: Connection, queue: str) -> None:
        self.soon: SimpleQueue[Callable[[], None]] = SimpleQueue()
        consumer = SagaConsumer.__new__(SagaConsumer)
        consumer.app, consumer.opened, consumer.connection_errors = app, set(), ()
        consumer.acks = BatchAcknowledger(self.soon.put, (), multiple=True)
        consumer.replacer = MessageReplacer(app, consumer.acks.acknowledge)
        self.consumer, self.receive = consumer, consumer.create_task_handler()
        self.queue = Queue(queue, channel=connection.default_channel, no_declare=True)

    def work(self) -> None:
        """Take what is there, and acknowledge what is done."""
        while (message := self.queue.get()) is not None:
            self.receive(message)
        while not self.soon.empty():
            self.soon.get()()


@pytest.fixture
def make_worker(app: Celery, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Worker]]:
    monkeypatch.setattr(Consumer, "create_task_handler", lambda *_: lambda _: None)
    made: list[Worker] = []
    with app.connection_for_read() as connection:

        def make(queue: str) -> Worker:
            made.append(Worker(app, connection, queue))
            return made[-1]

        yield make
        for worker in made:
            worker.consumer.replacer.stop()


def send(rabbit: RabbitServer, queue: str, *deaths: Any, raw: Sequence[bytes] = ()) -> None:
    with Connection(rabbit.url(ADMIN), transport_options={"confirm_publish": True}) as connection:
        producer = connection.Producer()
        for n, each in enumerate(deaths):
            headers = {"task": "x", "id": "1", DEATHS: each}
            producer.publish([[], {"n": n}, {}], routing_key=queue, headers=headers, delivery_mode=2)
        for properties in raw:
            connection.default_channel.basic_publish(RawMessage(b"[[], {}, {}]", properties), "", queue)


def count_ready(rabbit: RabbitServer, queue: str) -> int:
    """How many messages wait for a worker, as the queue itself says."""
    with Connection(rabbit.url(ADMIN)) as connection:
        return int(connection.default_channel.queue_declare(queue, passive=True).message_count)


def count(rabbit: RabbitServer, queue: str) -> int:
    """How many messages the queue has, those in a worker's hands too; the broker's figure may be seconds old."""
    listed = json.loads(rabbit.ctl("list_queues", "-p", "order-saga", "name", "messages", "--formatter=json"))
    return int({each["name"]: each["messages"] for each in listed}[queue])


@pytest.mark.parametrize("queue", [QUEUE, urgent_queue("shipment")])
def test_what_the_broker_cannot_dead_letter_becomes_a_dead_letter(
    rabbit: RabbitServer, make_worker: Callable[[str], Worker], queue: str
) -> None:
    """One of them ended it for all queues, while every page said that all was well."""
    worker = make_worker(queue)
    send(rabbit, queue, *DEADLY, raw=RAW)
    wanted = len(DEADLY) + len(RAW)

    def all_dead() -> bool:
        worker.work()
        return count_ready(rabbit, DEAD_LETTERS) == wanted

    until(all_dead, "all of them are dead letters")
    letters = drain(rabbit, DEAD_LETTERS)
    until(lambda: count(rabbit, queue) == 0, "none is left")
    for letter in letters:
        headers = letter.properties["application_headers"]
        (death,) = headers[DEATHS]
        assert (death["queue"], death["reason"], headers["task"]) == (queue, "rejected", "x")
        assert headers[REFUSED].startswith("forged: its header x-death is the broker's")
    assert sorted(str(json.loads(letter.body)[1].get("n")) for letter in letters) == [
        *map(str, range(len(DEADLY))), *["None"] * len(RAW),
    ]  # fmt: skip


def test_none_is_acknowledged_before_the_broker_has_its_copy(
    rabbit: RabbitServer, make_worker: Callable[[str], Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replacement, "WAIT_SECONDS", 0.05)
    queue = urgent_queue("shipment")
    worker = make_worker(queue)
    with without_exchange(rabbit, URGENT_TASKS):
        send(rabbit, queue, DEADLY[0])
        worker.work()
        until(lambda: bool(worker.consumer.replacer.publisher.held), "its copy is refused")
        worker.work()
        until(lambda: count(rabbit, queue) == 1, "the original is still there")

    def is_dead() -> bool:
        worker.work()
        return count_ready(rabbit, DEAD_LETTERS) == 1

    until(is_dead, "the exchange is there again")
