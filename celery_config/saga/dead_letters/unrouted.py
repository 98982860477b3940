"""Unrouted events stand among the dead letters, if a service should have received them.

An event that no service subscribes to is no error, and each order has one: it is taken from the queue and dropped. The
queue is bounded and looked into every few minutes, so what that costs does not grow with the orders.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import msgspec
import structlog
from kombu.message import Message
from kombu.transport import pyamqp

from celery_config.broker import topology
from celery_config.broker.topology import AGAIN, UNROUTED, Topology, events_queue, find_announced_type
from celery_config.common.services import SERVICES, SUBSCRIPTIONS
from celery_config.messaging.inbox.subscriptions import find_contract
from celery_config.saga.dead_letters.letter import Letter
from celery_config.saga.dead_letters.reader import DeadLetterReader, process_alone, process_letters

log = structlog.get_logger(__name__)


class UnroutedReader(DeadLetterReader):
    """Takes what has arrived at `unrouted` in batches, and leaves the broker again."""

    queue = UNROUTED
    poll_seconds = 0.2  # it has only just connected

    def read(self) -> None:
        try:
            super().read()
        finally:
            self.close()

    def arrived(self, raw: Any) -> None:
        message = pyamqp.Message(raw, channel=self.channel, accept={"application/json"})
        self.unacknowledged.append((message.delivery_tag, make_letters(message)))

    def process(self) -> None:
        """Keep what should have been received, and acknowledge all."""
        letters = [letter for _, some in self.unacknowledged for letter in some]
        try:
            process_letters(letters)
        except Exception:
            log.exception("unrouted events could not be kept together; each alone", letters=len(letters))
            for letter in letters:
                process_alone(letter)
        self.acknowledge(len(self.unacknowledged))


def make_letters(message: Message) -> list[Letter]:
    """Return a letter for each service that should have received the event; none if no service subscribes to it."""
    key = str((message.delivery_info or {}).get("routing_key", ""))
    receivers = find_receivers(key)
    if not receivers and is_known(find_announced_type(key)):
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


def is_known(kind: str) -> bool:
    """Whether this release has a contract for the type."""
    try:
        find_contract(kind)
    except msgspec.ValidationError:
        return False
    return True


def describe_fault(key: str, queue: str) -> str:
    if queue == UNROUTED:
        return f"no service receives {key[:100]!r}, and this release does not know it"
    return f"the queue {queue} is not bound to it: load the broker's definitions again"
