"""The broker of the embedded mode: kombu's filesystem transport without its two races.

kombu writes a message into a file that a reader may already be reading, and keeps the bindings of each exchange in a
file that every process rewrites. Here a message file appears complete or not at all, and the topology, which the
transport options name (`subscriptions`), says which queues get a message.
"""

from __future__ import annotations

import os
import uuid
from functools import cached_property
from pathlib import Path
from queue import Empty
from time import time_ns
from typing import Any

from kombu.transport import filesystem
from kombu.transport.filesystem import exchange_queue_t
from kombu.utils.encoding import bytes_to_str, str_to_bytes
from kombu.utils.json import dumps, loads

from celery_config.broker.topology import EXCHANGES, Topology


class Channel(filesystem.Channel):
    @cached_property
    def queues(self) -> list[Any]:
        return Topology.load(self.transport_options["subscriptions"]).queues()

    def get_table(self, exchange: str) -> list[Any]:
        """Return the routes from `exchange` to queues."""
        pattern = self.typeof(exchange).key_to_pattern if EXCHANGES[exchange][0] == "topic" else str
        return [
            exchange_queue_t(key, pattern(key), queue.name)
            for queue in self.queues
            for source, key in queue.bindings
            if source == exchange
        ]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Do nothing: the topology has the bindings."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:
        name = f"{time_ns()}_{uuid.uuid4()}.{queue}.msg"
        hidden = Path(self.data_folder_out) / f".{name}"
        hidden.write_bytes(str_to_bytes(dumps(payload)))
        hidden.rename(Path(self.data_folder_out) / name)

    def _get(self, queue: str) -> Any:
        """Claim and return the oldest message of `queue`."""
        for name in sorted(os.listdir(self.data_folder_in)):
            if name.startswith(".") or name.partition(".")[2] != f"{queue}.msg":
                continue
            claimed = Path(self.processed_folder) / name
            try:
                (Path(self.data_folder_in) / name).rename(claimed)
            except FileNotFoundError:
                continue  # another process was quicker
            payload = loads(bytes_to_str(claimed.read_bytes()))
            claimed.unlink()
            return payload
        raise Empty


class Transport(filesystem.Transport):
    Channel = Channel
