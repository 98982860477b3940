"""A cluster of three nodes: its queues survive a node, and who looks sees when they would not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kombu import Connection

from celery_config.broker import cluster
from celery_config.broker.topology import COMMANDS, Topology
from celery_config.common.services import ORCHESTRATOR, SERVICES, SUBSCRIPTIONS
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


def test_queues_that_the_first_node_made_alone_get_three_members(nodes: list[Node]) -> None:
    first, *others = nodes
    if read_version() < RECONCILES:
        assert find_missing(first) == dict.fromkeys(QUEUES, 2)
        (fault, *_) = cluster.find_faults(first.api(ORCHESTRATOR))
        assert fault.endswith("has 1 of 3 members: grow it")
        for node in others:
            first.grow_queues(node)
    until(lambda: find_missing(first) == dict.fromkeys(QUEUES, 0), "every queue has three members")
    assert cluster.find_faults(first.api(ORCHESTRATOR)) == []


def test_the_death_of_a_node_stops_no_queue_and_is_seen(nodes: list[Node]) -> None:
    first, *_, last = nodes
    last.kill()
    until(lambda: find_missing(first) == dict.fromkeys(QUEUES, 1), "a member of each queue is down")
    assert "2 of 3 members are up" in cluster.find_faults(first.api(ORCHESTRATOR))[0]
    with Connection(first.url("order"), transport_options={"confirm_publish": True}) as connection:
        producer = connection.Producer()
        for service in SERVICES:
            producer.publish("", exchange=COMMANDS, routing_key=service, mandatory=True, confirm_timeout=10)
