"""Placing an order by Restate: its row, then one call of the server, which keeps it and answers at once."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict
from http.client import HTTPConnection

from celery_config.common.identifiers import uuid7
from tests.bench.peers.placed import PlacedByPeer
from tests.bench.peers.steps import insert_order
from tests.bench.three.goods import Wanted


class Restate(PlacedByPeer):
    def __init__(self) -> None:
        super().__init__()
        self._address = os.environ["RESTATE_INGRESS"]
        self._local = threading.local()

    def place(self, wanted: Wanted) -> None:
        order = str(uuid7())
        insert_order(order, wanted.amount)
        self.send(json.dumps({"order": order, **asdict(wanted)}).encode())

    def send(self, body: bytes) -> None:
        """On a connection that this thread keeps."""
        if not hasattr(self._local, "server"):
            self._local.server = HTTPConnection(self._address)
        server: HTTPConnection = self._local.server
        server.request("POST", "/Orders/place/send", body, {"Content-Type": "application/json"})
        answer = server.getresponse()
        text = answer.read()
        if answer.status not in (200, 202):
            raise RuntimeError(f"Restate took no order: {answer.status} {text.decode()}")


def side() -> Restate:
    return Restate()
