"""The three steps by Restate: the client writes the order, then calls the server, which stores the call and answers."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict
from http.client import HTTPConnection

from celery_config.common.identifiers import uuid7
from tests.bench.peers.side import PeerSide
from tests.bench.three.goods import Purchase
from tests.bench.three.steps import insert_order


class Restate(PeerSide):
    def __init__(self) -> None:
        super().__init__()
        self._address = os.environ["RESTATE_INGRESS"]
        self._local = threading.local()

    def place(self, request: Purchase) -> None:
        order = str(uuid7())
        insert_order(order, request.amount)
        self.send_request(json.dumps({"order": order, **asdict(request)}).encode())

    def send_request(self, body: bytes) -> None:
        """Send it on a connection that this thread keeps."""
        if not hasattr(self._local, "server"):
            self._local.server = HTTPConnection(self._address)
        server: HTTPConnection = self._local.server
        server.request("POST", "/Orders/place/send", body, {"Content-Type": "application/json"})
        answer = server.getresponse()
        text = answer.read()
        if answer.status not in (200, 202):
            raise RuntimeError(f"Restate did not accept an order: {answer.status} {text.decode()}")


def make_side() -> Restate:
    return Restate()
