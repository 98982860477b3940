"""Unrouted events stand among the dead letters, if a service should have received them.

An event that no service subscribes to is no error, and each order has one: it is taken from the queue and dropped. The
queue is bounded and looked into every few minutes, so what that costs does not grow with the orders.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from kombu.message import Message

from celery_config.broker import topology
from celery_config.broker.topology import AGAIN, UNROUTED, Topology, events_queue, find_announced_type
from celery_config.common.services import SERVICES, SUBSCRIPTIONS
from celery_config.messaging.inbox.subscriptions import map_contracts
from celery_config.saga.dead_letters.letter import Letter
from celery_config.saga.dead_letters.reader import DeadLetterReader


class UnroutedReader(DeadLetterReader):
    """Takes what has arrived at `unrouted` in batches, and leaves the broker again."""

    queue = UNROUTED
    poll_seconds = 0.2  # it has only just connected

    def read(self) -> None:
        try:
            super().read()
        finally:
            self.close()

    def parse(self, message: Message) -> list[Letter]:
        return make_letters(message)


def make_letters(message: Message) -> list[Letter]:
    """Return a letter for each service that should have received the event; none if no service subscribes to it."""
    key = str((message.delivery_info or {}).get("routing_key", ""))
    receivers = find_receivers(key)
    if not receivers and find_announced_type(key) in map_contracts():
        return []
    letter = Letter.parse(message)
    queues = [events_queue(each) for each in receivers] or [UNROUTED]
    return [
        replace(letter, reason=topology.UNROUTED, queue=queue, fault=describe_fault(key, queue))
        for queue in queues
    ]


def find_receivers(key: str) -> list[str]:
    """Return the services whose queue an event under this key should be in."""
    kind, again, service = key.partition(f".{AGAIN}.")
    if again:
        return [service] if service in SERVICES else []
    return [
        each
        for each, patterns in read_patterns().items()
        if any(fnmatchcase(kind, some) for some in patterns)
    ]


@functools.cache
def read_patterns() -> Mapping[str, tuple[str, ...]]:
    return Topology.load(SUBSCRIPTIONS).patterns


def describe_fault(key: str, queue: str) -> str:
    if queue == UNROUTED:
        return f"no service receives {key[:100]!r}, and this release does not know it"
    return f"the queue {queue} is not bound to it: load the broker's definitions again"
