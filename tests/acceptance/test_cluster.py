"""A cluster of three nodes: its queues survive a node, and who looks sees when they would not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kombu import Connection
from prometheus_client import generate_latest

from celery_config.broker import cluster
from celery_config.broker.topology import COMMANDS, DEAD_LETTERS, Topology, commands_queue
from celery_config.common import metrics
from celery_config.common.services import ORCHESTRATOR, SERVICES, SUBSCRIPTIONS
from tests.acceptance.alerts import Series, evaluate, parse, write_test
from tests.acceptance.cluster import RECONCILES, Node, read_version, start_cluster
from tests.acceptance.shop import until

TOPOLOGY = Topology.load(SUBSCRIPTIONS)
QUEUES = {queue.name for queue in TOPOLOGY.queues()}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    started = start_cluster(tmp_path_factory.mktemp("cluster"), (*SERVICES, "admin"), TOPOLOGY.definitions)
    yield started
    for node in reversed(started):
        node.kill()


def find_missing(node: Node) -> dict[str, int]:
    return {queue.name: queue.missing for queue in cluster.read_queues(node.api(ORCHESTRATOR))}


def measure(node: Node) -> Series:
    """What the order service's relay exports of the queues."""
    cluster.measure_queues(node.api(ORCHESTRATOR))
    return parse(generate_latest(metrics.RELAY).decode(), 'service="order",process="relay"')


def count_waiting(node: Node) -> int:
    """How many dead letters wait in the queue that they come from."""
    return sum(queue.waiting for queue in cluster.read_queues(node.api(ORCHESTRATOR)))


@contextmanager
def without_queue(node: Node, queue: str) -> Iterator[None]:
    node.delete_queue(queue)
    try:
        yield
    finally:
        node.load_definitions()


def reject_one(node: Node) -> None:
    """Let a message become a dead letter."""
    options = {"confirm_publish": True}
    with Connection(node.url("admin"), transport_options=options) as connection:
        connection.Producer().publish("", exchange=COMMANDS, routing_key="payment", delivery_mode=2)
        channel = connection.default_channel
        channel.basic_reject(channel.basic_get(commands_queue("payment")).delivery_tag, requeue=False)


def test_queues_that_the_first_node_made_alone_get_three_members(nodes: list[Node], tmp_path: Path) -> None:
    first, *others = nodes
    grow_by_hand = read_version() < RECONCILES
    if grow_by_hand:
        assert find_missing(first) == dict.fromkeys(QUEUES, 2)
        (fault, *_) = cluster.find_faults(first.api(ORCHESTRATOR))
        assert fault.endswith("has 1 of 3 members: grow it")
    with without_queue(first, DEAD_LETTERS):
        reject_one(first)
        until(lambda: count_waiting(first) == 1, "the dead letter waits in the queue that it comes from")
        in_trouble = measure(first)
    if grow_by_hand:
        for node in others:
            first.grow_queues(node)
    until(lambda: find_missing(first) == dict.fromkeys(QUEUES, 0), "every queue has three members")
    until(lambda: count_waiting(first) == 0, "the queue of dead letters has confirmed it")
    assert cluster.find_faults(first.api(ORCHESTRATOR)) == []
    lacking = ["OrderSagaQueueMembersMissing"] if grow_by_hand else []
    fired = ["OrderSagaDeadLettersWait", *lacking]
    evaluate(tmp_path, write_test("a cluster", [in_trouble, measure(first)], [fired, []]))


def test_the_death_of_a_node_stops_no_queue_and_is_seen(nodes: list[Node]) -> None:
    first, *_, last = nodes
    last.kill()
    until(lambda: find_missing(first) == dict.fromkeys(QUEUES, 1), "a member of each queue is down")
    assert "2 of 3 members are up" in cluster.find_faults(first.api(ORCHESTRATOR))[0]
    with Connection(first.url("order"), transport_options={"confirm_publish": True}) as connection:
        producer = connection.Producer()
        for service in SERVICES:
            producer.publish("", exchange=COMMANDS, routing_key=service, mandatory=True, confirm_timeout=10)
