"""Dead letters outlive the absence of their queue (rule 19, dead letters)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kombu import Connection

from celery_config.broker.topology import COMMANDS, DEAD_LETTERS, VHOST, Topology
from celery_config.common.services import SUBSCRIPTIONS
from compose.local.rabbitmq import RabbitServer
from tests.service.broker import ADMIN, drain
from tests.service.together import until

SOURCE, COUNT = "payment.commands", 200


@contextmanager
def without_a_leader(rabbit: RabbitServer, queue: str) -> Iterator[None]:
    """The queue's only member is stopped: what is sent to it meanwhile is lost."""
    member = f"{{'{VHOST}_{queue}', node()}}"
    rabbit.ctl("eval", f"ra:stop_server(quorum_queues, {member}).")
    try:
        yield
    finally:
        rabbit.ctl("eval", f"ra:restart_server(quorum_queues, {member}).")


@pytest.fixture
def impatient(rabbit: RabbitServer) -> RabbitServer:
    """What moves dead letters sends again after a second without a confirm; by default it waits for three minutes.

    Each queue's mover reads this time when it starts: when the policy comes to the queue.
    """
    name = "dead-lettered-at-least-once"
    pattern, definition = Topology.load(SUBSCRIPTIONS).policies()[name]
    rabbit.ctl("clear_policy", "-p", VHOST, name)
    rabbit.ctl("eval", "application:set_env(rabbit, dead_letter_worker_publisher_confirm_timeout, 1000).")
    rabbit.ctl("set_policy", "-p", VHOST, "--apply-to", "queues", name, pattern, json.dumps(definition))
    return rabbit


def test_letters_wait_for_their_queue(impatient: RabbitServer) -> None:
    rabbit = impatient
    with Connection(rabbit.url(ADMIN), transport_options={"confirm_publish": True}) as connection:
        channel = connection.default_channel
        for queue in (SOURCE, DEAD_LETTERS):
            channel.queue_purge(queue)
        producer = connection.Producer()
        for number in range(COUNT):
            producer.publish({"n": number}, exchange=COMMANDS, routing_key="payment", delivery_mode=2)
        with without_a_leader(rabbit, DEAD_LETTERS):
            for _ in range(COUNT):
                message = channel.basic_get(SOURCE)
                channel.basic_reject(message.delivery_tag, requeue=False)
            until(lambda: count_waiting(rabbit) == COUNT, "they are seen in the queue that they come from")
    until(lambda: count_waiting(rabbit) == 0, "the queue of dead letters has confirmed them")
    assert {json.loads(message.body)["n"] for message in drain(rabbit, DEAD_LETTERS)} == set(range(COUNT))


def count_waiting(rabbit: RabbitServer) -> int:
    """How many dead letters are in the queue that they come from."""
    listed = json.loads(rabbit.ctl("list_queues", "-p", VHOST, "name", "messages", "--formatter=json"))
    return int({queue["name"]: queue["messages"] for queue in listed}[SOURCE])
