"""The broker's queues as its management API shows them: what a client of AMQP does not see."""

from __future__ import annotations

import base64
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from celery_config.broker.topology import DEAD_LETTERS, VHOST
from celery_config.common import metrics
from celery_config.http.client import DeadlineClient

SECONDS = 5.0
MOST_MEMBERS = 3
"""More members make a queue slower, and two dead nodes of five are no common case."""
FIELDS = "name,type,members,online,messages_dlx"


class BrokerApiError(Exception):
    """The management API does not answer, or refuses."""


@dataclass(frozen=True)
class QueueState:
    """One quorum queue.

    Args:
        wanted: members that it should have: one on each node, three at most.
        members: members that it has; those that are `online` take part at present.
        waiting: dead letters that the queue of dead letters has not confirmed.
    """

    name: str
    wanted: int
    members: int
    online: int
    waiting: int

    @property
    def missing(self) -> int:
        return max(0, self.wanted - min(self.members, self.online))

    def find_faults(self) -> Iterator[str]:
        if self.members < self.wanted:
            yield f"the queue {self.name} has {self.members} of {self.wanted} members: grow it"
        elif self.online < self.members:
            yield f"of the queue {self.name} {self.online} of {self.members} members are up"
        if self.waiting:
            yield f"{self.waiting} dead letters wait in the queue {self.name}: has {DEAD_LETTERS} a leader?"


def read_queues(api: str) -> list[QueueState]:
    """Ask the API for every queue of ours.

    Args:
        api: its address with name and password, `http://user:password@host:15672/api/`.

    Raises:
        BrokerApiError: it does not answer, or refuses.
    """
    nodes = len(ask(api, "nodes?columns=name"))
    return [
        QueueState(
            name=queue["name"],
            wanted=min(nodes, MOST_MEMBERS),
            members=len(queue.get("members", ())),
            online=len(queue.get("online", ())),
            waiting=queue.get("messages_dlx", 0),
        )
        for queue in ask(api, f"queues/{quote(VHOST, safe='')}?columns={FIELDS}")
        if queue.get("type") == "quorum"
    ]


def find_faults(api: str) -> list[str]:
    """What is wrong with the queues, in words; for `api` and errors see `read_queues`."""
    return [fault for queue in read_queues(api) for fault in queue.find_faults()]


def measure_queues(api: str) -> None:
    """Set the gauges of the queues; for `api` and errors see `read_queues`."""
    queues: list[QueueState] = []
    try:
        queues = read_queues(api)
    finally:
        # What was true some time ago may not be any more, and a queue may be gone.
        metrics.QUEUE_MISSING_MEMBERS.clear()
        metrics.QUEUE_WAITING_DEAD_LETTERS.clear()
        for queue in queues:
            metrics.QUEUE_MISSING_MEMBERS.labels(queue.name).set(queue.missing)
            metrics.QUEUE_WAITING_DEAD_LETTERS.labels(queue.name).set(queue.waiting)


@functools.cache
def client() -> DeadlineClient:
    """The client of this process."""
    return DeadlineClient(seconds=SECONDS)


def ask(api: str, path: str) -> Sequence[dict[str, Any]]:
    address = httpx.URL(api)
    login = base64.b64encode(f"{address.username}:{address.password}".encode()).decode()
    url = str(address.copy_with(username="", password="").join(path))
    try:
        answer = client().send("GET", url, headers={"Authorization": f"Basic {login}"})
        found = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise BrokerApiError(f"RabbitMQ's management API at {address.host}: {error}") from error
    if not isinstance(found, list):
        raise BrokerApiError(f"RabbitMQ's management API at {address.host} answered no list")
    return found
