"""The broker of the embedded mode: kombu's filesystem transport with its two races mended.

kombu writes a message into the file its reader may already be reading, and keeps each exchange's bindings in a
file that every process rewrites. Here a message appears under its name complete or not at all, and bindings come
from the topology.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from queue import Empty
from time import time_ns
from typing import Any

from kombu.transport import filesystem
from kombu.transport.filesystem import exchange_queue_t
from kombu.utils.encoding import bytes_to_str, str_to_bytes
from kombu.utils.json import dumps, loads

from celery_config.broker import topology


class Channel(filesystem.Channel):
    def get_table(self, exchange: str) -> list[Any]:
        """Who gets what is published to `exchange`."""
        table = [(key, q.name) for q in topology.queues() for source, key in q.bindings if source == exchange]
        pattern = self.typeof(exchange).key_to_pattern if topology.EXCHANGES[exchange][0] == "topic" else str
        return [exchange_queue_t(key, pattern(key), queue) for key, queue in table]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """The topology has bound it."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:
        name = f"{time_ns()}_{uuid.uuid4()}.{queue}.msg"
        hidden = Path(self.data_folder_out) / f".{name}"
        hidden.write_bytes(str_to_bytes(dumps(payload)))
        hidden.rename(Path(self.data_folder_out) / name)

    def _get(self, queue: str) -> Any:
        """The oldest message of `queue`, which from now on only this process has."""
        for name in sorted(os.listdir(self.data_folder_in)):
            if name.startswith(".") or name.partition(".")[2] != f"{queue}.msg":
                continue
            taken = Path(self.processed_folder) / name
            try:
                (Path(self.data_folder_in) / name).rename(taken)
            except FileNotFoundError:
                continue  # another process was quicker
            payload = loads(bytes_to_str(taken.read_bytes()))
            taken.unlink()
            return payload
        raise Empty


class Transport(filesystem.Transport):
    Channel = Channel
